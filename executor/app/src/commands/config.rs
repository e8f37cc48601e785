//! `overmind config`.

use serde_json::json;

use crate::cli::{ConfigAction, ConfigArgs, exit};
use crate::commands::Failure;
use crate::config::{Config, Host};
use crate::secret::Secret;

/// Checks or shows a configuration; the exit code.
///
/// # Errors
/// [`Failure`] lists what does not fit, each with its fix.
pub fn run(args: &ConfigArgs) -> Result<u8, Failure> {
    match &args.action {
        ConfigAction::Example => out!("{}", Config::example()),
        ConfigAction::Show(file) => {
            let config = Config::load(&file.config)?.with_paths(&Host::read());
            if file.json {
                outln!("{}", json!(config));
            } else {
                out!("{}", config.to_toml());
            }
        }
        ConfigAction::Check(file) => {
            let plan = Config::survey_file(&file.config, &Host::read())?;
            let missing: Vec<String> = plan
                .files_needed()
                .into_iter()
                .filter(|(_, path)| !path.exists())
                .map(|(key, path)| format!("{key}: {} does not exist", path.display()))
                .collect();
            if !missing.is_empty() {
                return Err(Failure::Input(missing.join("\n")));
            }
            let refused: Vec<String> = plan
                .signing_keys()
                .into_iter()
                .filter_map(|(key, path)| Some(format!("{key}: {}", Secret::load(&path).err()?)))
                .collect();
            if !refused.is_empty() {
                return Err(Failure::Input(refused.join("\n")));
            }
            if file.json {
                outln!("{}", json!({"usable": true, "mode": plan.mode}));
            } else {
                outln!(
                    "{} is usable: {} mode",
                    file.config.display(),
                    plan.mode.as_str()
                );
            }
        }
    }
    Ok(exit::OK)
}
