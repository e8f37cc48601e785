//! `overmind config`.

use serde_json::json;

use crate::cli::{ConfigAction, ConfigArgs, exit};
use crate::commands::Failure;
use crate::config::{Config, Host};

/// Checks or shows a configuration; the exit code.
///
/// # Errors
/// [`Failure`] lists what does not fit, each with its fix.
pub fn run(args: &ConfigArgs) -> Result<u8, Failure> {
    match &args.action {
        ConfigAction::Example => out!("{}", Config::example()),
        ConfigAction::Show(file) => {
            let config = Config::load(&file.config)?;
            if file.json {
                outln!("{}", json!(config));
            } else {
                out!("{}", config.to_toml());
            }
        }
        ConfigAction::Check(file) => {
            let plan = Config::load(&file.config)?.plan(&Host::read())?;
            let missing: Vec<String> = plan
                .files_needed()
                .into_iter()
                .filter(|(_, path)| !path.exists())
                .map(|(key, path)| format!("{key}: {} does not exist", path.display()))
                .collect();
            if !missing.is_empty() {
                return Err(Failure::Input(missing.join("\n")));
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
