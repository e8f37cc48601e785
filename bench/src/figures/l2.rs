//! L2: one check by the risk gate, alone and warm. Among traffic it is a row of `l1`.

use std::hint::black_box;
use std::sync::Arc;

use market::{Lamports, Mint, PumpAccounts, Side, TokenAmount};
use overmind::rungs::histogram;
use risk::{Control, Fill, Gate, Mode};
use shred_resolve::Policy;
use shred_wire::{Nanos, Slot};
use strategy::{Intent, LaneClass, Origin, Venue};

use crate::figures::{Context, Findings};
use crate::ours::config;
use crate::row::Row;

/// Positions open while the gate is asked.
const OPEN: [u8; 3] = [0, 12, 60];

/// Measures entries that pass, with some positions open.
///
/// # Errors
/// A sentence when the gate refuses what it should pass.
pub fn measure(context: &Context) -> Result<Findings, String> {
    let mut findings = Findings::default();
    for open in OPEN {
        let limits = config(Policy::VerifyThenEmit).limits;
        let control = Arc::new(Control::new(Mode::Active));
        let mut gate = Gate::new(limits, control).map_err(|error| format!("{error:?}"))?;
        for number in 0..open {
            let fill = Fill {
                tokens: TokenAmount(1_000),
                quote: Lamports(1_000),
            };
            if !gate.adopt(Mint([number + 1; 32]), u64::from(number), fill) {
                return Err("l2: no room for a position".to_owned());
            }
        }
        let mut log = histogram();
        for id in 0..context.size(200_000, 20_000) {
            let intent = entry(id);
            let start = context.ticker.nanos();
            let checked = gate.check(black_box(intent), intent.at);
            let spent = context.ticker.nanos().wrapping_sub(start);
            let approved = checked.map_err(|refusal| format!("l2: refused, {refusal:?}"))?;
            gate.release(approved.into_reservation());
            log.saturating_record(spent);
        }
        let row = Row::latency(format!("l2.entry.open_{open}"), &log);
        findings
            .rows
            .push(row.over(&[("clock", context.floors.clock)]));
    }
    Ok(findings)
}

/// A small buy, a second after the last so that no rate is reached.
fn entry(id: u64) -> Intent {
    let mut mint = [0xee; 32];
    mint[..8].copy_from_slice(&id.to_le_bytes());
    Intent {
        id: id + 1_000,
        origin: Origin::Launch,
        venue: Venue::PumpV3,
        lane: LaneClass::PrivateBundle,
        side: Side::Buy,
        mint: Mint(mint),
        spend: Lamports(10_000_000),
        tokens: TokenAmount(1),
        receive_min: Lamports(0),
        tip: Lamports(100_000),
        slot: Slot(id),
        at: Nanos(1_790_000_000_000_000_000 + id * 1_000_000_000),
        accounts: PumpAccounts::default().into(),
    }
}
