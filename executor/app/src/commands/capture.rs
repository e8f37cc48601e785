//! `overmind capture`: live datagrams into a pcap file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{Receiver as Given, channel};
use std::time::{Duration, Instant};

use serde_json::json;
use shred_source::capture::CaptureError;
use shred_source::{Capture, frame_ring};

use crate::cli::{CaptureArgs, exit};
use crate::commands::{Failure, interrupted};
use crate::config::{Config, Host, Opening};
use crate::output::counted;
use crate::receive::{Opener, Receiver, unknown_sender};
use crate::regular::make_regular;

/// Bytes buffered before the file is written to.
const FILE_BUFFER_LEN: usize = 1 << 20;

/// A file that is opened when it is known that there is something to record: what is written before waits for it. That
/// is the capture's header; sources are polled later.
struct Late {
    given: Given<File>,
    file: Option<File>,
    waiting: Vec<u8>,
}

impl Write for Late {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none()
            && let Ok(mut file) = self.given.try_recv()
        {
            file.write_all(&std::mem::take(&mut self.waiting))?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => self.waiting.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Takes the file, if it has come.
        self.write(&[]).map(drop)
    }
}

/// Records until told to stop; the exit code.
///
/// # Errors
/// [`Failure`] when the configuration, a socket or the file cannot be used; a file that was there is untouched then.
pub fn run(args: &CaptureArgs) -> Result<u8, Failure> {
    let plan = Config::load(&args.config)?.plan(&Host::read())?;
    if plan.ingest.sources.is_empty() {
        return Err(Failure::Input(format!(
            "{}: it names no [[ingest.sources]], so there is nothing to record",
            args.config.display()
        )));
    }
    let named = |error: CaptureError| Failure::Input(format!("{}: {error}", args.output.display()));
    let (give, given) = channel();
    let late = Late {
        given,
        file: None,
        waiting: Vec::new(),
    };
    let late = BufWriter::with_capacity(FILE_BUFFER_LEN, late);
    let (capture, taps) =
        Capture::spawn(late, &plan.capture, plan.ingest.sources.len()).map_err(named)?;
    let mut sources = Vec::new();
    let mut opener = Opener::new(&plan.ingest.sources);
    for ((number, source), tap) in (0..).zip(&plan.ingest.sources).zip(taps) {
        let (frames, core, _) = frame_ring(&plan.ingest.arena)?;
        // What comes over QUIC is copied from its frames, by this thread.
        let (tap, own_tap) = match source.opening {
            Opening::Quic(_) => (None, Some(tap)),
            _ => (Some(tap), None),
        };
        let opened = opener.open_named(number, frames, tap)?;
        sources.push((opened, core, own_tap));
    }
    // The writer's thread has not ended: it waits for this file.
    let _ = give.send(make(args)?);
    for (source, (opened, ..)) in plan.ingest.sources.iter().zip(&sources) {
        errln!(
            "recording {} on {} ({})",
            source.name,
            opened.address,
            opened.kind.as_str()
        );
        for note in &opened.notes {
            errln!("source {}: {note}", source.name);
        }
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

/// The file, empty.
fn make(args: &CaptureArgs) -> Result<File, Failure> {
    make_regular(&args.output, args.overwrite).map_err(|error| {
        let path = args.output.display();
        Failure::Input(match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!("{path}: there is such a file; name another, or add --overwrite")
            }
            io::ErrorKind::InvalidInput => format!("{path}: it {error}"),
            _ => format!("{path}: {error}"),
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::regular::tests::Folder;

    #[test]
    fn what_is_written_before_the_file_comes_stands_at_its_beginning() {
        let folder = Folder::new("late");
        let path = folder.0.join("file");
        let (give, given) = channel();
        let mut late = Late {
            given,
            file: None,
            waiting: Vec::new(),
        };
        late.write_all(b"head").unwrap();
        late.flush().unwrap();
        give.send(make_regular(&path, false).unwrap()).unwrap();
        late.flush().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"head");
        late.write_all(b"er").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"header");
    }
}
