//! `overmind capture`: live datagrams into a pcap file.

use std::time::{Duration, Instant};

use serde_json::json;
use shred_source::capture::CaptureError;
use shred_source::{Capture, frame_ring};

use crate::cli::{CaptureArgs, exit};
use crate::commands::{Failure, interrupted};
use crate::config::{Config, Host, Opening};
use crate::output::counted;
use crate::receive::{Opener, Receiver, unknown_sender};

/// Records until told to stop; the exit code.
///
/// # Errors
/// [`Failure`] when the configuration, a socket or the file cannot be used.
pub fn run(args: &CaptureArgs) -> Result<u8, Failure> {
    let plan = Config::load(&args.config)?.plan(&Host::read())?;
    let named = |error: CaptureError| Failure::Input(format!("{}: {error}", args.output.display()));
    let (capture, taps) =
        Capture::create(&args.output, &plan.capture, plan.ingest.sources.len()).map_err(named)?;
    let mut sources = Vec::new();
    let mut opener = Opener::new(&plan.ingest.sources);
    for ((number, source), tap) in (0..).zip(&plan.ingest.sources).zip(taps) {
        let (frames, core, _) = frame_ring(&plan.ingest.arena)?;
        // What comes over QUIC is copied from its frames, by this thread.
        let (tap, own_tap) = match source.opening {
            Opening::Quic(_) => (None, Some(tap)),
            _ => (Some(tap), None),
        };
        let opened = opener.open(number, frames, tap);
        let opened = opened.map_err(|error| Failure::Source {
            name: source.name.clone(),
            error,
        })?;
        errln!(
            "recording {} on {} ({})",
            source.name,
            opened.address,
            opened.kind.as_str()
        );
        for note in &opened.notes {
            errln!("source {}: {note}", source.name);
        }
        sources.push((opened, core, own_tap));
    }
    let length = args
        .seconds
        .map(|seconds| Duration::from_secs(u64::from(seconds)));
    let start = Instant::now();
    while !interrupted()
        && length.is_none_or(|length| start.elapsed() < length)
        && !capture.has_failed()
    {
        let mut taken = 0;
        for (source, core, own_tap) in &mut sources {
            match &mut source.receiver {
                Receiver::Polled(source) => {
                    taken += source.poll();
                    // The frames are only needed to receive into; the tap has its copy.
                    core.drain(usize::MAX, |_, _| {});
                }
                Receiver::Quic(handle) => {
                    if handle.is_dead() {
                        let message =
                            format!("the thread of a source on {} has ended", source.address);
                        return Err(Failure::Input(message));
                    }
                    let from = unknown_sender(source.address);
                    taken += core.drain(usize::MAX, |about, bytes| {
                        if let Some(tap) = own_tap {
                            tap.offer(about.stamp, from, source.address, bytes);
                        }
                    });
                }
            }
        }
        if taken == 0 {
            let pause = Duration::from_millis(1);
            match sources.first_mut().map(|(source, ..)| &mut source.receiver) {
                Some(Receiver::Polled(source)) => source.wait(pause),
                _ => std::thread::sleep(pause),
            }
        }
    }
    let report = capture.stop().map_err(named)?;
    if args.json {
        outln!(
            "{}",
            json!({"datagrams_written": report.datagram_written, "bytes_written": report.byte_written,
                   "datagrams_dropped": report.datagram_dropped, "datagrams_oversize": report.datagram_oversize})
        );
    } else {
        outln!(
            "{}, {} bytes in {}; {} dropped, {} too long",
            counted(report.datagram_written, "datagram", "datagrams"),
            report.byte_written,
            args.output.display(),
            report.datagram_dropped,
            report.datagram_oversize
        );
    }
    Ok(exit::OK)
}
