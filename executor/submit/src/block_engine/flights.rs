//! What has been said about each bundle in flight, and what may still be said.

use std::collections::BTreeMap;

use jito_searcher_client::BundleId;
use jito_searcher_client::proto::bundle::bundle_result::Result as Kind;
use jito_searcher_client::proto::bundle::rejected::Reason as WireReason;
use jito_searcher_client::proto::bundle::{DroppedReason, Rejected};
use shred_wire::Slot;
use tokio::time::Instant;

use crate::report::{Outcome, Reason};

/// Reports about one bundle, at most: handed over; acknowledged or unknown; accepted; processed; the last.
pub(super) const REPORTS_PER_FLIGHT_MAX: usize = 5;

/// Bundles in flight, by id.
#[derive(Debug, Default)]
pub(super) struct Flights(BTreeMap<BundleId, Flight>);

#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) intent_id: u64,
    pub(super) signature: [u8; 64],
    expires_at: Instant,
    said: u8,
}

/// Kinds of outcome that come at most once, as bits of `Flight::said`.
mod said {
    pub(super) const HANDED_OVER: u8 = 1;
    pub(super) const ANSWERED: u8 = 2;
    pub(super) const ACCEPTED: u8 = 4;
    pub(super) const PROCESSED: u8 = 8;
}

impl Flights {
    /// A bundle has been sent. False when one of its id is in flight.
    pub(super) fn depart(
        &mut self,
        id: BundleId,
        intent_id: u64,
        signature: [u8; 64],
        expires_at: Instant,
    ) -> bool {
        let flight = Flight {
            intent_id,
            signature,
            expires_at,
            said: 0,
        };
        self.0.insert(id, flight).is_none()
    }

    /// Takes note of `outcome`; gives the flight when it is news.
    ///
    /// An engine may say things twice, late, or about bundles that are not ours: none of that is news.
    pub(super) fn note(&mut self, id: &BundleId, outcome: Outcome) -> Option<Flight> {
        let flight = self.0.get_mut(id)?;
        let bit = match outcome {
            Outcome::HandedOver => said::HANDED_OVER,
            Outcome::Acknowledged => said::ANSWERED,
            Outcome::Accepted { .. } => said::ACCEPTED,
            Outcome::Processed { .. } => said::PROCESSED,
            outcome if outcome.is_last() => return self.0.remove(id),
            _ => said::ANSWERED,
        };
        let news = flight.said & bit == 0;
        flight.said |= bit;
        news.then(|| flight.clone())
    }

    /// Ends the flights nothing was heard of in time, and tells for each whether it had been processed.
    pub(super) fn expire(&mut self, now: Instant, mut out: impl FnMut(Flight, bool)) {
        self.0.retain(|_, flight| {
            let expired = flight.expires_at <= now;
            if expired {
                out(flight.clone(), flight.said & said::PROCESSED != 0);
            }
            !expired
        });
    }
}

/// The custom error of the program that failed in the engine's simulation, when its words name one.
pub(super) fn error_of_result(kind: Option<&Kind>) -> Option<u32> {
    let Some(Kind::Rejected(Rejected { reason })) = kind else {
        return None;
    };
    match reason.as_ref()? {
        WireReason::SimulationFailure(failure) => risk::custom_error(failure.msg.as_ref()?),
        _ => None,
    }
}

/// The engine's words as an outcome; `None` for a result that says nothing.
pub(super) fn outcome_of(kind: Option<Kind>) -> Option<Outcome> {
    Some(match kind? {
        Kind::Accepted(accepted) => Outcome::Accepted {
            slot: Slot(accepted.slot),
        },
        Kind::Processed(processed) => Outcome::Processed {
            slot: Slot(processed.slot),
        },
        Kind::Finalized(_) => Outcome::Finalized,
        Kind::Rejected(Rejected { reason }) => Outcome::Rejected(match reason {
            Some(WireReason::StateAuctionBidRejected(_)) => Reason::StateBidRejected,
            Some(WireReason::WinningBatchBidRejected(_)) => Reason::BatchBidRejected,
            Some(WireReason::SimulationFailure(_)) => Reason::SimulationFailed,
            Some(WireReason::InternalError(_)) => Reason::InternalError,
            Some(WireReason::DroppedBundle(_)) => Reason::DroppedByEngine,
            None => Reason::Unspecified,
        }),
        Kind::Dropped(dropped) => Outcome::Dropped(match DroppedReason::try_from(dropped.reason) {
            Ok(DroppedReason::BlockhashExpired) => Reason::BlockhashExpired,
            Ok(DroppedReason::PartiallyProcessed) => Reason::PartiallyProcessed,
            Ok(DroppedReason::NotFinalized) => Reason::NotFinalized,
            Err(_) => Reason::Unspecified,
        }),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use jito_searcher_client::proto::bundle::Dropped;

    fn id(byte: u8) -> BundleId {
        BundleId::of_signatures([&[byte; 64]])
    }

    #[tokio::test]
    async fn whatever_an_engine_says_a_flight_has_at_most_five_reports() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        assert!(flights.depart(id(1), 7, [1; 64], now));
        let every = [
            Outcome::HandedOver,
            Outcome::Unknown(Reason::NoAnswer),
            Outcome::Acknowledged,
            Outcome::Accepted { slot: Slot(1) },
            Outcome::Processed { slot: Slot(1) },
        ];
        let mut news = 0;
        for outcome in every.iter().chain(&every).chain(&every) {
            news += usize::from(flights.note(&id(1), *outcome).is_some());
            assert!(flights.note(&id(2), *outcome).is_none());
        }
        assert_eq!(
            flights.note(&id(1), Outcome::Finalized).unwrap().intent_id,
            7
        );
        assert_eq!(news + 1, REPORTS_PER_FLIGHT_MAX);
        assert!(flights.note(&id(1), Outcome::Finalized).is_none());
    }

    #[tokio::test]
    async fn silence_ends_a_flight_once() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        flights.depart(id(1), 1, [1; 64], now);
        flights.depart(id(2), 2, [2; 64], now);
        flights.depart(id(3), 3, [3; 64], now + std::time::Duration::from_secs(1));
        flights
            .note(&id(2), Outcome::Processed { slot: Slot(1) })
            .unwrap();
        let mut ended = Vec::new();
        flights.expire(now, |flight, processed| {
            ended.push((flight.intent_id, processed))
        });
        flights.expire(now, |_, _| panic!("twice"));
        ended.sort_unstable();
        assert_eq!(ended, [(1, false), (2, true)]);
    }

    #[test]
    fn a_programs_error_is_read_out_of_a_simulations_words() {
        let said = |msg: Option<&str>| {
            let failure = jito_searcher_client::proto::bundle::SimulationFailure {
                tx_signature: String::new(),
                msg: msg.map(str::to_owned),
            };
            let reason = Some(WireReason::SimulationFailure(failure));
            error_of_result(Some(&Kind::Rejected(Rejected { reason })))
        };
        let words = "Error processing Instruction 4: custom program error: 0x7d6";
        assert_eq!(said(Some(words)), Some(2_006));
        assert_eq!(said(Some("out of compute")), None);
        assert_eq!(said(None), None);
        assert_eq!(error_of_result(None), None);
    }

    #[test]
    fn reasons_of_the_future_are_unspecified() {
        assert_eq!(outcome_of(None), None);
        let dropped = Kind::Dropped(Dropped { reason: 99 });
        assert_eq!(
            outcome_of(Some(dropped)),
            Some(Outcome::Dropped(Reason::Unspecified))
        );
        let rejected = Kind::Rejected(Rejected { reason: None });
        assert_eq!(
            outcome_of(Some(rejected)),
            Some(Outcome::Rejected(Reason::Unspecified))
        );
    }
}
