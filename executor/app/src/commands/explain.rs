//! `overmind explain`: what a refusal or a counter means and what to do about it.

mod counters;

use brain_wire::NackReason;
use market::DecodeReject;
use risk::{Disabled, Refusal};
use serde_json::json;
use shred_resolve::{Reject, SourceTally};
use strategy::Pass;

use crate::cli::{ExplainArgs, exit};

/// Why a datagram was not used, in the order of [`Reject::name_at`].
const DATAGRAMS: [&str; Reject::COUNT] = [
    "shorter than its kind of shred; something that is no shred arrives on the port, or the way cuts datagrams",
    "not one of the four kinds of shred that exist today; other traffic arrives on the port",
    "its FEC set index is no multiple of 32; forged or damaged",
    "its index lies outside its FEC set; forged or damaged",
    "its index exceeds the slot's limit; check ingest.shreds_per_slot_max against the cluster's slot time",
    "its parent is not an earlier slot; forged or damaged",
    "its size field does not fit its kind; forged or damaged",
    "it ends the slot without ending a batch; forged or damaged",
    "it ends a batch inside an FEC set, which leaders no longer do",
    "a code shred of a set that is not 32 data and 32 code",
    "a code shred whose position contradicts its index",
    "another cluster or fork; check ingest.shred_version",
    "too old or too far ahead of the newest authenticated slot; usual for late repairs",
    "the leader source names no leader for its slot; renew the leaders file",
    "seen already; usual, relays and Turbine both repeat shreds",
    "its set was whole already; usual, a set has 64 shreds and needs 32",
    "its proof does not lead to its set's signed root; forged or damaged",
    "the slot's leader did not sign its root; forged, or the leaders file is wrong",
    "it contradicts its own set; a faulty leader",
    "more versions of one set than are told apart; a faulty leader or a flood",
    "no memory for another set; raise ingest.fec_sets_max",
    "too many signatures of its source or set are being checked; a flood of sets that nobody signed",
];

/// Why the gate refused an intent, in the order of [`Refusal::names`].
const INTENTS: [&str; Refusal::COUNT] = [
    "trading is halted; see `overmind status`, then `overmind resume`",
    "only exits are allowed; `overmind resume` allows entries again",
    "nothing would be bought or sold; a fault of whoever made the intent",
    "it would accept nothing in return; a fault of whoever made the intent",
    "its tip exceeds risk.tip_max_lamports",
    "it exceeds risk.trade_notional_max_lamports",
    "with it, all open entries would exceed risk.open_notional_max_lamports",
    "as many positions are open or being opened as risk.open_positions_max allows",
    "the coin is held or being bought already",
    "there is no position to leave",
    "the position is being left already",
    "it would sell more than is held",
    "more entries in risk.window_ms than risk.entries_per_window_max",
    "more exits in risk.window_ms than risk.exits_per_window_max; a loop gone wrong",
    "its venue is disabled for entries; `overmind venues` says why, and enables it again",
];

/// Why an event led to nothing, in the order of [`Pass::names`].
const PASSES: [&str; Pass::COUNT] = [
    "the event is no occasion for anything; usual",
    "the launch passed every filter, but strategy.launches_enabled is off",
    "the launcher's own buy follows in the same transaction; the decision falls there",
    "the launcher put in less than strategy.dev_buy_min_lamports, or nothing yet",
    "the launcher put in more than strategy.dev_buy_max_lamports",
    "the creator is on the deny list",
    "there is an allow list, and the creator is not on it",
    "the launch is too many slots ago",
    "the curve must not be traded; the market's untradable counters say why",
    "no quote at this price, or our buy would complete the curve",
    "an exit is on its way already",
    "the position has reached neither target nor stop nor its end; usual",
    "the coin has left its curve and no pool of it is known",
    "our own entry is on its way",
    "an exit failed lately, and the next try waits",
    "our own buy would move the pool's price further than the slippage allows: it holds too little",
    "a cashback coin, which nothing that is built could sell once its curve sells out",
    "an entry on a lane where failures land, while no account data says whether it filled",
    "the price is further than strategy.entry_move_max_bps from what account data said last, or a launch's from what its \
     launcher made it; the next account data tries it again; raise the key to enter such prices",
];

/// Why a venue is disabled for entries, in the order of [`Disabled::ALL`].
const VENUES: [&str; Disabled::ALL.len()] = [
    "its check at start is not over; it ends by itself",
    "what we build for it failed in simulation; `overmind doctor --venues` shows the error",
    "its program was replaced or its code moved since it was accepted; check it, then `overmind venues --enable`",
    "a global, configuration or fee account changed since it was accepted; check it, then `overmind venues --enable`",
    "transactions of ours ended with errors 2006, 6000 or 6062 too often; `overmind doctor --venues`",
    "venues.json of the state directory cannot be read, so what was accepted is not known; `overmind venues --enable`",
];

/// Why an instruction of a program that is read gave no event, in the order of [`DecodeReject::names`].
const DECODE: [&str; DecodeReject::COUNT] = [
    "an instruction that is not followed: claims, sweeps, administration; usual",
    "its data ends before a required argument; it fails on the chain, too",
    "it names fewer accounts than it needs; it fails on the chain, too",
    "a required signer is behind a lookup table, which the runtime refuses",
    "an argument has a value that the program refuses or that is not known here; when it grows the layout may have moved",
    "a router's route has a step of unknown length, so nothing of it is inferred",
];

/// What is counted of a source, in the order of [`SourceTally::named`].
const SOURCES: [&str; 11] = [
    "datagrams of any kind from this source",
    "datagrams from this source that are shreds, needed or not",
    "shreds that it brought before all others; less `overtaken` it is what the source won",
    "of the first ones, how many another source had received earlier, by the stamps; it was read later",
    "of the first ones, how many came when their set was whole; their proofs are not checked",
    "shreds that nobody else had brought when their slot was forgotten: what would be missing without this source",
    "shreds that the source itself had brought before; the sender repeats itself",
    "FEC sets that a shred of this source made whole or recoverable; less `completed_overtaken`",
    "of these, how many another source had made so earlier, by the stamps",
    "times it brought nothing for two slots while others did; ask whoever sends, or look at the way",
    "stamp of its newest shred, nanoseconds of the UNIX epoch",
];

/// What is made of those, and the words for how a source is.
const OF_SOURCES: [(&str, &str); 6] = [
    (
        "won",
        "`first` less `overtaken`: shreds that it brought before all others, by the stamps",
    ),
    (
        "sets",
        "`completed` less `completed_overtaken`: FEC sets that a shred of it made whole or recoverable",
    ),
    (
        "alive",
        "it brings shreds that are used, or that others brought before",
    ),
    (
        "silent",
        "it has brought nothing for 5 s, or nothing yet; ask whoever sends, or look at the way and the firewall",
    ),
    (
        "refused",
        "datagrams of it that are not used, or, of a source: for 5 s (beside good sources for half a second) it has \
                 brought nothing that can be used; the reasons say why",
    ),
    (
        "dead",
        "it has brought nothing for two slots while others did",
    ),
];

/// Prints one code or all; the exit code.
#[must_use]
pub fn run(args: &ExplainArgs) -> u8 {
    let codes = codes();
    let wanted: Vec<_> = match &args.code {
        None => codes.iter().collect(),
        Some(code) => codes
            .iter()
            .filter(|(name, _)| name == code || name.split('.').next_back() == Some(code))
            .collect(),
    };
    if wanted.is_empty() {
        let code = args.code.as_deref().unwrap_or_default();
        let near: Vec<_> = codes
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| shares_word(name, code))
            .take(6)
            .collect();
        errln!(
            "no such code: {code}; near it: {}",
            if near.is_empty() {
                "none".to_owned()
            } else {
                near.join(", ")
            }
        );
        return exit::BAD_INPUT;
    }
    for (name, text) in wanted {
        if args.json {
            outln!("{}", json!({"code": name, "text": text}));
        } else {
            outln!("{name}\n    {text}");
        }
    }
    exit::OK
}

fn codes() -> Vec<(String, String)> {
    let datagrams = DATAGRAMS
        .iter()
        .enumerate()
        .map(|(index, text)| (format!("datagram.{}", Reject::name_at(index)), *text));
    let intents = Refusal::names()
        .into_iter()
        .zip(INTENTS)
        .map(|(name, text)| (format!("risk.{name}"), text));
    let passes = Pass::names()
        .into_iter()
        .zip(PASSES)
        .map(|(name, text)| (format!("pass.{name}"), text));
    let venues = Disabled::ALL
        .into_iter()
        .zip(VENUES)
        .map(|(reason, text)| (format!("venue.{}", reason.name()), text));
    let decode = DecodeReject::names()
        .into_iter()
        .zip(DECODE)
        .map(|(name, text)| (format!("decode.{name}"), text));
    let signals =
        NackReason::all().map(|reason| (format!("signal.{}", reason.name()), reason.hint()));
    let sources = SourceTally::default()
        .named()
        .into_iter()
        .zip(SOURCES)
        .map(|((name, _), text)| (name, text))
        .chain(OF_SOURCES)
        .map(|(name, text)| (format!("source.{name}"), text));
    let counters = counters::groups().into_iter().flat_map(|(group, texts)| {
        let texts = texts.iter();
        texts.map(move |(name, text)| (format!("{group}.{name}"), *text))
    });
    datagrams
        .chain(sources)
        .chain(intents)
        .chain(passes)
        .chain(venues)
        .chain(decode)
        .chain(signals)
        .chain(counters)
        .map(|(name, text)| (name, text.to_owned()))
        .collect()
}

fn shares_word(name: &str, code: &str) -> bool {
    code.split(['.', '_'])
        .filter(|word| word.len() > 2)
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_once() {
        let codes = codes();
        assert_eq!(
            codes.len(),
            Reject::COUNT
                + SourceTally::default().named().len()
                + OF_SOURCES.len()
                + Refusal::COUNT
                + Pass::COUNT
                + Disabled::ALL.len()
                + DecodeReject::COUNT
                + NackReason::all().count()
                + counters::groups()
                    .iter()
                    .map(|(_, texts)| texts.len())
                    .sum::<usize>()
        );
        assert!(codes.iter().all(|(_, text)| text.len() > 10));
        let mut names: Vec<_> = codes.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), codes.len());
    }
}
