//! The file of lookup tables that are known from the start.
//!
//! What a v0 transaction keeps behind a table is unknown to whoever does not know the table. The file names them in any of
//! these forms, or as a list of such:
//!
//! ```json
//! {"<table>": ["<address>", ...], ...}
//! {"lookupTableAddress": "<table>", "addresses": ["<address>", ...], ...}
//! ```
//!
//! The second is what `solana address-lookup-table get TABLE --output json` prints.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bundle::{BuilderConfig, BuilderError, LookupTable};
use market::lookup::TABLE_LEN_MAX;
use market::{Key, LookupTables};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::Plan;
use crate::regular::open_regular;

/// Longest file that is read: some 5,000 full tables.
const FILE_LEN_MAX: u64 = 64 << 20;
/// A table that was never deactivated.
const ACTIVE: u64 = u64::MAX;

/// Why a file of lookup tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LookupTablesError {
    /// It cannot be read.
    #[error("{}: {source}; name a readable JSON file with market.lookup_tables", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It says something else than tables.
    #[error("{}: {reason}; write {{\"<table>\": [\"<address>\", ...]}}, or the JSON of `solana address-lookup-table get`", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It lacks the table that transactions are to use.
    #[error("{}: bundle.lookup_table = {table:?} is not among its {count}; add what `solana address-lookup-table get {table} --output json` prints, or name one that is", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
        /// The table.
        table: String,
        /// Tables that the file has.
        count: usize,
    },
    /// Transactions do not compile with it.
    #[error(
        "the parts asked for do not fit into one transaction, lookup table or not: {0}; leave out dont_front, slot_guard_slots or wallet_floor_lamports"
    )]
    Unfit(BuilderError),
}

/// Reads the file.
///
/// # Errors
/// [`LookupTablesError`]; one address that does not fit refuses the whole file.
pub fn load(path: &Path) -> Result<LookupTables, LookupTablesError> {
    let read = || {
        let mut text = String::new();
        open_regular(path, FILE_LEN_MAX)?.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|source| LookupTablesError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&text).map_err(|reason| LookupTablesError::Content {
        path: path.to_owned(),
        reason,
    })
}

/// Reads the file that a plan names, if it names one, and hands the plan's builder the table that transactions use.
///
/// # Errors
/// [`LookupTablesError`]: when the file has no such table, too.
pub fn load_for(plan: &mut Plan) -> Result<LookupTables, LookupTablesError> {
    let Some(path) = &plan.lookup_tables else {
        return Ok(LookupTables::none());
    };
    let tables = load(path)?;
    if let Some(key) = plan.lookup_table {
        let addresses = tables.get(&key).ok_or_else(|| LookupTablesError::Absent {
            path: path.clone(),
            table: text(&key),
            count: tables.len(),
        })?;
        plan.builder.lookup_table = Some(LookupTable {
            key,
            addresses: addresses.to_vec(),
        });
        if let Some(error) = plan.unfit() {
            return Err(LookupTablesError::Unfit(error));
        }
    }
    Ok(tables)
}

/// What a table should hold for these transactions, the most used first, and which of it theirs lacks.
///
/// # Errors
/// [`BuilderError`], when they do not compile.
pub fn wanted(builder: &BuilderConfig) -> Result<Vec<Wanted>, BuilderError> {
    let held = builder.lookup_table.as_ref();
    let held = held.map_or(&[][..], |table| &table.addresses);
    let named = builder.lookup_addresses()?.into_iter();
    Ok(named
        .map(|(key, templates)| Wanted {
            address: text(&key),
            templates,
            held: held.contains(&key),
        })
        .collect())
}

/// An address that a lookup table should hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// It, in base58.
    pub address: String,
    /// Templates that name it.
    pub templates: usize,
    /// Whether the table that is used holds it.
    pub held: bool,
}

/// A key in base58.
#[must_use]
pub fn text(key: &Key) -> String {
    bs58::encode(key).into_string()
}

/// What a file holds, in words.
#[must_use]
pub fn summary(tables: &LookupTables) -> String {
    let addresses: usize = tables.iter().map(|(_, addresses)| addresses.len()).sum();
    format!(
        "{} with {}",
        crate::output::counted(tables.len() as u64, "lookup table", "lookup tables"),
        crate::output::counted(addresses as u64, "address", "addresses"),
    )
}

fn parse(text: &str) -> Result<LookupTables, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut tables: Vec<(Key, Vec<Key>)> = Vec::new();
    let parts = match &value {
        Value::Array(parts) => parts.iter().collect(),
        part => vec![part],
    };
    for part in parts {
        let Value::Object(part) = part else {
            return Err("it is neither an object nor a list of objects".to_owned());
        };
        read_object(part, &mut tables)?;
    }
    let tables = tables.iter();
    Ok(LookupTables::new(
        tables.map(|(key, addresses)| (*key, addresses.as_slice())),
    ))
}

fn read_object(
    object: &Map<String, Value>,
    tables: &mut Vec<(Key, Vec<Key>)>,
) -> Result<(), String> {
    let Some(name) = object.get("lookupTableAddress") else {
        for (name, list) in object {
            tables.push((key(name)?, addresses(name, list)?));
        }
        return Ok(());
    };
    let name = name.as_str().ok_or("\"lookupTableAddress\" is no text")?;
    if let Some(slot) = object.get("deactivationSlot").and_then(Value::as_u64)
        && slot != ACTIVE
    {
        return Err(format!(
            "table {name} was deactivated in slot {slot}: its addresses may go away"
        ));
    }
    let list = object.get("addresses").unwrap_or(&Value::Null);
    tables.push((key(name)?, addresses(name, list)?));
    Ok(())
}

fn addresses(name: &str, list: &Value) -> Result<Vec<Key>, String> {
    let list = list
        .as_array()
        .ok_or_else(|| format!("beside table {:?} stands no list of addresses", short(name)))?;
    if list.len() > TABLE_LEN_MAX {
        let len = list.len();
        return Err(format!(
            "table {} has {len} addresses, at most {TABLE_LEN_MAX} fit",
            short(name)
        ));
    }
    let address = |value: &Value| key(value.as_str().unwrap_or_default());
    list.iter().map(address).collect()
}

fn key(text: &str) -> Result<Key, String> {
    let mut key = [0; 32];
    match bs58::decode(text).onto(&mut key) {
        Ok(32) => Ok(key),
        _ => Err(format!("{:?} is not the base58 of 32 bytes", short(text))),
    }
}

/// Enough of a text to find it again.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_form_of_the_file_is_read() {
        let [a, b, x, y] = [1, 2, 3, 4].map(|byte| text(&[byte; 32]));
        let map = format!(r#"{{"{a}": ["{x}", "{y}"], "{b}": []}}"#);
        let cli = format!(
            r#"{{"lookupTableAddress": "{a}", "authority": null, "deactivationSlot": 18446744073709551615, "addresses": ["{x}", "{y}"]}}"#
        );
        let list = format!("[{cli}, {{\"{b}\": []}}]");
        for file in [&map, &list] {
            let tables = parse(file).unwrap();
            assert_eq!(tables.len(), 2, "{file}");
            assert_eq!(tables.get(&[1; 32]).unwrap(), [[3; 32], [4; 32]]);
            assert_eq!(tables.get(&[2; 32]).unwrap().len(), 0);
            assert_eq!(summary(&tables), "2 lookup tables with 2 addresses");
        }
        assert_eq!(parse(&cli).unwrap().len(), 1);
        assert!(parse("{}").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_table_is_refused_by_what_is_wrong() {
        let [a, x] = [1, 3].map(|byte| text(&[byte; 32]));
        let many = vec![format!("\"{x}\""); 257].join(",");
        for (file, said) in [
            ("", "EOF"),
            ("7", "neither an object nor a list"),
            ("[[]]", "neither an object nor a list"),
            (r#"{"short": []}"#, "\"short\" is not the base58"),
            (&format!(r#"{{"{a}": 7}}"#), "no list of addresses"),
            (&format!(r#"{{"{a}": [7]}}"#), "is not the base58"),
            (&format!(r#"{{"{a}": [{many}]}}"#), "257 addresses"),
            (
                &format!(r#"{{"lookupTableAddress": "{a}"}}"#),
                "no list of addresses",
            ),
            (
                &format!(
                    r#"{{"lookupTableAddress": "{a}", "deactivationSlot": 5, "addresses": []}}"#
                ),
                "deactivated in slot 5",
            ),
        ] {
            let reason = parse(file).unwrap_err();
            assert!(reason.contains(said), "{file}: {reason}");
        }
        let error = load(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(error.contains("market.lookup_tables"), "{error}");
    }
}
