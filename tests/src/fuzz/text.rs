//! What operators write.

use overmind::config::Config;

use super::Dice;

/// The configuration: any text near the example is refused in words, or means the same when it is written out again.
pub(super) fn config(dice: &mut Dice) {
    let text = near(dice, Config::example());
    match Config::parse(&text, "text") {
        Ok(config) => {
            let again = Config::parse(&config.to_toml(), "again");
            assert_eq!(again.as_ref().ok(), Some(&config));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// `text` with lines left out, repeated and damaged.
pub(super) fn near(dice: &mut Dice, text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..dice.below(6) {
        let (at, other) = (dice.below(lines.len()), dice.below(lines.len()));
        match dice.below(5) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[other].clone()),
            2 => lines.swap(at, other),
            _ => {
                let mut bytes = std::mem::take(&mut lines[at]).into_bytes();
                dice.mutate(&mut bytes);
                lines[at] = String::from_utf8_lossy(&bytes).into_owned();
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    lines.join("\n")
}
