//! What is known of the venues, in JSON and in words.

use serde_json::{Value, json};
use sidecar::printable;
use strategy::Venue;
use venue_check::{Checked, VenueState, Verdict, shown};

/// One venue, as `status` and `venues` show it.
#[must_use]
pub fn shown_state(state: &VenueState) -> Value {
    let side = |place: usize| {
        state
            .checked
            .as_ref()
            .map(|both| shown_verdict(&both[place]))
    };
    json!({
        "name": Venue::names()[state.venue as usize],
        "enabled": state.disabled.is_none(),
        "reason": state.disabled.map(risk::Disabled::name),
        "words": state.words.as_deref().map(printable),
        "program_slot": state.program_slot,
        "buy": side(0),
        "sell": side(1),
    })
}

/// One builder.
#[must_use]
pub fn shown_verdict(checked: &Checked) -> Value {
    let (units, why) = match &checked.verdict {
        Verdict::Passed { units } => (*units, None),
        Verdict::Failed(failure) => (None, Some(failure.to_string())),
        Verdict::Unknown(why) => (None, Some(why.clone())),
    };
    json!({
        "verdict": checked.verdict.word(),
        "units": units,
        "units_asked": checked.units_asked,
        "coin": checked.mint.as_ref().map(shown),
        "why": why.as_deref().map(printable),
    })
}
