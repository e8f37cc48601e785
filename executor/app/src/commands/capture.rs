//! `overmind capture`: live datagrams into a pcap file.

use std::time::{Duration, Instant};

use serde_json::json;
use shred_source::{Capture, DatagramSource, SourceId, UdpSource, frame_ring};

use crate::cli::{CaptureArgs, exit};
use crate::commands::{Failure, interrupted};
use crate::config::{Config, Host};

/// Records until told to stop; the exit code.
///
/// # Errors
/// [`Failure`] when the configuration, a socket or the file cannot be used.
pub fn run(args: &CaptureArgs) -> Result<u8, Failure> {
    let plan = Config::load(&args.config)?.plan(&Host::read())?;
    let (capture, taps) = Capture::create(&args.output, &plan.capture, plan.ingest.sources.len())?;
    let mut sources = Vec::new();
    for ((number, source), tap) in (0..).zip(&plan.ingest.sources).zip(taps) {
        let (frames, core, _) = frame_ring(&plan.ingest.arena)?;
        let (opened, facts) = UdpSource::open(&source.udp, SourceId(number), frames, Some(tap))?;
        errln!("recording {} on {}", source.name, facts.local);
        sources.push((opened, core));
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
        for (source, core) in &mut sources {
            taken += source.poll();
            // The frames are only needed to receive into; the tap has its copy.
            core.drain(usize::MAX, |_, _| {});
        }
        if taken == 0
            && let Some((source, _)) = sources.first_mut()
        {
            source.wait(Duration::from_millis(1));
        }
    }
    let report = capture.stop()?;
    if args.json {
        outln!(
            "{}",
            json!({"datagrams_written": report.datagram_written, "bytes_written": report.byte_written,
                   "datagrams_dropped": report.datagram_dropped, "datagrams_oversize": report.datagram_oversize})
        );
    } else {
        outln!(
            "{} datagrams, {} bytes in {}; {} dropped, {} too long",
            report.datagram_written,
            report.byte_written,
            args.output.display(),
            report.datagram_dropped,
            report.datagram_oversize
        );
    }
    Ok(exit::OK)
}
