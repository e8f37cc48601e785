//! What `decode` and `replay` say on stderr about the files they were given.
//!
//! A capture that is cut short and a leaders file of another epoch both end in fewer lines, which looks like success
//! to whoever only sees the lines.

use std::path::Path;

use shred_resolve::{Counters, Reject};
use shred_source::pcap::{PcapCounters, PcapReject};

use crate::leaders::LeaderSource;
use crate::output::counted;

/// What is wrong with the capture at `path`, in one line; `None` when it was read whole.
#[must_use]
pub fn damage(path: &Path, read: &PcapCounters) -> Option<String> {
    let mut found = Vec::new();
    if read.refused(PcapReject::FileCut) > 0 {
        found.push("it ends inside a record, and was read up to there".to_owned());
    }
    let too_long = read.refused(PcapReject::RecordTooLong);
    if too_long > 0 {
        let records = counted(too_long, "record claims", "records claim");
        found.push(format!("{records} more bytes than any capture keeps"));
    }
    let cut = read.refused(PcapReject::Cut);
    if cut > 0 {
        let datagrams = counted(cut, "datagram was", "datagrams were");
        found.push(format!(
            "{datagrams} kept only in part (capture with `tcpdump -s 0`)"
        ));
    }
    (!found.is_empty()).then(|| {
        format!(
            "{}: damaged or cut short: {}",
            path.display(),
            found.join("; ")
        )
    })
}

/// What the leaders file did not answer for, in one line; `None` when it fits the capture or there is none.
///
/// Single shreds without the leader's signature are usual (anyone can send them); a capture in which not one shred
/// has it is not.
#[must_use]
pub fn leaders(leaders: &LeaderSource, resolved: &Counters) -> Option<String> {
    if matches!(leaders, LeaderSource::Absent) {
        return None;
    }
    let unnamed = resolved.rejected_for(Reject::NoLeader);
    let unsigned = resolved.rejected_for(Reject::BadLeaderSignature);
    let mut found = Vec::new();
    if unnamed > 0 {
        let shreds = counted(unnamed, "shred was", "shreds were");
        found.push(format!(
            "{shreds} refused because it names no leader for their slots"
        ));
    }
    if unsigned > 0 && resolved.shred_accepted == 0 {
        let shreds = counted(unsigned, "shred was", "shreds were");
        found.push(format!(
            "{shreds} refused because the leader it names did not sign them, and none was used"
        ));
    }
    (!found.is_empty()).then(|| {
        format!(
            "leaders file: {}; check that it is of the capture's cluster and covers its slots (epoch)",
            found.join("; ")
        )
    })
}

/// What the wanted shred version left over, in one line; `None` when something was used, or nothing was refused for it.
#[must_use]
pub fn version(wanted: Option<u16>, resolved: &Counters) -> Option<String> {
    let foreign = resolved.rejected_for(Reject::ForeignVersion);
    let wanted = wanted.filter(|_| foreign > 0 && resolved.shred_accepted == 0)?;
    let shreds = counted(foreign, "shred was", "shreds were");
    Some(format!(
        "shred version {wanted}: {shreds} refused because they are of another, and none was used; check that it is of \
         the capture's cluster"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaders::LeaderSchedule;
    use shred_wire::Slot;

    #[test]
    fn a_whole_capture_is_not_spoken_of_and_a_damaged_one_is() {
        let mut read = PcapCounters::default();
        read.rejected[PcapReject::NotUdp as usize] = 7;
        let path = Path::new("a.pcap");
        assert_eq!(damage(path, &read), None);
        read.rejected[PcapReject::FileCut as usize] = 1;
        read.rejected[PcapReject::RecordTooLong as usize] = 2;
        let said = damage(path, &read).expect("it is damaged");
        assert!(said.starts_with("a.pcap: damaged or cut short: it ends inside a record"));
        assert!(said.contains("2 records claim"), "{said}");
    }

    #[test]
    fn a_version_that_matches_nothing_is_spoken_of() {
        let mut resolved = Counters::default();
        assert_eq!(version(Some(1), &resolved), None);
        resolved.rejected[Reject::ForeignVersion.index()] = 40;
        let said = version(Some(1), &resolved).expect("none was used");
        assert!(
            said.starts_with("shred version 1: 40 shreds were refused"),
            "{said}"
        );
        resolved.shred_accepted = 1;
        assert_eq!(version(Some(1), &resolved), None, "others are usual");
    }

    #[test]
    fn leaders_that_match_nothing_are_spoken_of() {
        let schedule = LeaderSchedule::from_slots(&[(Slot(1), [1; 32])]).expect("fits");
        let (named, absent) = (LeaderSource::Schedule(schedule), LeaderSource::Absent);
        let mut resolved = Counters::default();
        assert_eq!(leaders(&named, &resolved), None);
        resolved.rejected[Reject::BadLeaderSignature.index()] = 40;
        let said = leaders(&named, &resolved).expect("none was signed");
        assert!(
            said.contains("40 shreds") && said.contains("did not sign"),
            "{said}"
        );
        assert_eq!(leaders(&absent, &resolved), None);
        resolved.shred_accepted = 1;
        assert_eq!(leaders(&named, &resolved), None, "forged ones are usual");
        resolved.rejected[Reject::NoLeader.index()] = 1;
        let said = leaders(&named, &resolved).expect("one slot is unnamed");
        assert!(
            said.contains("1 shred was") && said.contains("names no leader"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1);
    }
}
