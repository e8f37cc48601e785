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

/// What came of the check at start, in a line.
pub(super) fn summary(found: &[Verdict], states: &[VenueState]) -> String {
    let count = |word: &str| {
        found
            .iter()
            .filter(|verdict| verdict.word() == word)
            .count()
    };
    let (passed, failed, unknown) = (count("passed"), count("failed"), count("unknown"));
    let why = found.iter().find_map(|verdict| match verdict {
        Verdict::Unknown(why) => Some(format!(" ({why})")),
        _ => None,
    });
    let late = found
        .iter()
        .filter(|verdict| **verdict == Verdict::OutOfTime);
    let late = match late.count() {
        0 => String::new(),
        count => format!(", {count} of them not checked: out of time"),
    };
    let passes = |state: &VenueState| {
        let passed = |checked: &Checked| matches!(checked.verdict, Verdict::Passed { .. });
        let checked = state.checked.as_ref();
        checked.is_some_and(|both| both.iter().all(passed))
    };
    let names = |wanted: &dyn Fn(&VenueState) -> bool| {
        let states = states.iter().filter(|state| wanted(state));
        let names = states.map(|state| {
            let name = Venue::names()[state.venue as usize];
            match state.disabled {
                Some(reason) => format!("{name} ({})", reason.name()),
                None => name.to_owned(),
            }
        });
        let names: Vec<String> = names.collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    format!(
        "venues checked at start: {passed} builders passed, {failed} failed, {unknown} unknown{}{late}; enabled: {}; \
         entered unchecked: {}; disabled: {}",
        why.unwrap_or_default(),
        names(&|state| state.disabled.is_none() && passes(state)),
        names(&|state| state.disabled.is_none() && !passes(state)),
        names(&|state| state.disabled.is_some()),
    )
}

/// One builder.
#[must_use]
pub fn shown_verdict(checked: &Checked) -> Value {
    let (units, why) = match &checked.verdict {
        Verdict::Passed { units } => (*units, None),
        Verdict::Failed(failure) => (None, Some(failure.to_string())),
        unknown => (None, unknown.why_unknown()),
    };
    json!({
        "verdict": checked.verdict.word(),
        "units": units,
        "units_asked": checked.units_asked,
        "coin": checked.mint.as_ref().map(shown),
        "why": why.as_deref().map(printable),
    })
}
