//! `overmind config`.

use serde_json::json;

use crate::cli::{ConfigAction, ConfigArgs, exit};
use crate::commands::Failure;
use crate::config::{Config, Host, Opening, Problems, QuicIdentity, Survey};
use crate::doctor::{Seen, lacking_interfaces, look_at};
use crate::lookup_tables;
use crate::output::counted;
use crate::relay::{own_identity, refuse_loops};

/// Checks or shows a configuration; the exit code. What does not fit is listed as JSON where that is asked for.
///
/// # Errors
/// [`Failure`] lists what does not fit, each with its fix.
pub fn run(args: &ConfigArgs) -> Result<u8, Failure> {
    let as_json = match &args.action {
        ConfigAction::Example => false,
        ConfigAction::Show(file) | ConfigAction::Check(file) => file.json,
    };
    match act(args) {
        Err(failure) if as_json => {
            outln!("{}", failure.to_json());
            Ok(failure.code())
        }
        other => other,
    }
}

fn act(args: &ConfigArgs) -> Result<u8, Failure> {
    match &args.action {
        ConfigAction::Example => out!("{}", Config::example()),
        ConfigAction::Show(file) => {
            let config = Config::load(&file.config)?.with_paths(&Host::read());
            let config = config.without_secrets();
            if file.json {
                outln!("{}", json!(config));
            } else {
                out!("{}", config.to_toml());
            }
        }
        ConfigAction::Check(file) => {
            let host = Host::read();
            let mut survey = Survey::of_file(&file.config, &host)?;
            let notes = look_at_files(&mut survey, &host);
            look_at_interfaces(&mut survey);
            check_lookup_table(&mut survey);
            check_relay(&mut survey);
            let (plan, warnings) = survey.verdict()?;
            if file.json {
                let warned: Vec<String> = warnings.iter().flat_map(lines).collect();
                outln!(
                    "{}",
                    json!({"ok": true, "usable": true, "mode": plan.mode, "warnings": warned, "notes": notes})
                );
                return Ok(exit::OK);
            }
            if let Some(warnings) = &warnings {
                tell(warnings);
            }
            notes.iter().for_each(|note| outln!("{note}"));
            outln!(
                "{} is usable: {} mode{}",
                file.config.display(),
                plan.mode.as_str(),
                match &warnings {
                    Some(warnings) => format!(
                        ", with {}",
                        counted(warnings.list.len() as u64, "warning", "warnings")
                    ),
                    None => String::new(),
                }
            );
        }
    }
    Ok(exit::OK)
}

fn lines(problems: &Problems) -> Vec<String> {
    problems.to_string().lines().map(str::to_owned).collect()
}

fn tell(warnings: &Problems) {
    for line in lines(warnings) {
        errln!("warning: {line}");
    }
}

/// Reads every file that is named as a start would; what those say that can be used.
fn look_at_files(survey: &mut Survey, host: &Host) -> Vec<String> {
    let mut notes = Vec::new();
    for file in survey.named_files(host) {
        match look_at(&file) {
            Seen::Usable(None) => {}
            Seen::Usable(Some(note)) => notes.push(format!("{}: {note}", file.key)),
            Seen::Doubtful(why) => survey.warn(&file.key, &why),
            Seen::Open(why) | Seen::Unusable(why) => survey.refuse(&file.key, &why),
        }
    }
    notes
}

/// Warns of what this host does not have: it may be written for another.
fn look_at_interfaces(survey: &mut Survey) {
    let found = survey.plan().map(lacking_interfaces).unwrap_or_default();
    for (key, why) in found {
        survey.warn(&key, &format!("{why} (on this host)"));
    }
}

/// Whether the table that transactions are to use is in the file, when that can be read.
fn check_lookup_table(survey: &mut Survey) {
    let Some(mut plan) = survey.plan().cloned() else {
        return;
    };
    if let Err(error) = lookup_tables::load_for(&mut plan) {
        survey.refuse("bundle.lookup_table", &error.to_string());
    }
}

/// What of a relay can be told without opening anything, when its files can be read.
fn check_relay(survey: &mut Survey) {
    let Some(plan) = survey.plan() else { return };
    let Some(relay) = &plan.relay else { return };
    let sources = plan.redistributable();
    let waits = |identity: &QuicIdentity| matches!(identity, QuicIdentity::File(path) if path.is_relative());
    let unread = relay.identity.iter().any(waits)
        || sources
            .iter()
            .any(|source| matches!(&source.opening, Opening::Quic(quic) if waits(&quic.identity)));
    let own = if unread {
        // A credential that is handed over in the unit.
        Ok(None)
    } else {
        own_identity(relay, &sources)
    };
    let refused = own.err().or_else(|| refuse_loops(relay, &sources).err());
    if let Some(refused) = refused {
        survey.refuse("relay", &refused.to_string());
    }
}
