//! Addresses of programs and accounts this crate writes into transactions.
//!
//! The venues' own addresses stand in `market`, beside the decoders that recognise them.

use market::base58::key;
pub use market::launchlab::{
    AUTHORITY as LAUNCHLAB_AUTHORITY, EVENT_AUTHORITY as LAUNCHLAB_EVENT_AUTHORITY,
};
pub use market::pump::{PROGRAM as PUMP_PROGRAM, TOKEN_2022_PROGRAM, TOKEN_PROGRAM, WRAPPED_SOL};
pub use market::pump_amm::{
    EVENT_AUTHORITY as PUMP_AMM_EVENT_AUTHORITY, FEE_CONFIG as PUMP_AMM_FEE_CONFIG,
    GLOBAL_CONFIG as PUMP_AMM_GLOBAL_CONFIG, PROGRAM as PUMP_AMM_PROGRAM,
};
pub use market::raydium_amm::AUTHORITY as RAYDIUM_AMM_AUTHORITY;
pub use market::raydium_cp::AUTHORITY as RAYDIUM_CP_AUTHORITY;
pub use market::token::ASSOCIATED_TOKEN_PROGRAM;
use market::{Key, Program};

/// Raydium AMM v4.
pub const RAYDIUM_AMM_PROGRAM: Key = *Program::RaydiumAmm.id();
/// Raydium CPMM.
pub const RAYDIUM_CP_PROGRAM: Key = *Program::RaydiumCp.id();
/// LaunchLab.
pub const LAUNCHLAB_PROGRAM: Key = *Program::LaunchLab.id();

/// System program: transfers the tip, creates accounts.
pub const SYSTEM_PROGRAM: Key = [0; 32];
/// Compute budget program; its instructions are ignored in v1 transactions (SIMD-0385).
pub const COMPUTE_BUDGET_PROGRAM: Key = key("ComputeBudget111111111111111111111111111111");
/// Pump fees program. Source of this and the next four: pump-rust-client 0.5.0 `idls/pump.json`; the derived
/// ones are checked against their seeds by a test.
pub const PUMP_FEE_PROGRAM: Key = key("pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ");
/// Pump PDA `["global"]`.
pub const PUMP_GLOBAL: Key = key("4wTV1YmiEkRvAtNtsSGPtUrqRYQMe5SKy2uB4Jjaxnjf");
/// Pump PDA `["__event_authority"]`.
pub const PUMP_EVENT_AUTHORITY: Key = key("Ce6TQqeHC9p8KetsN6JsjHK7UTZk7nasjjnr7XxXp9F1");
/// Pump fees PDA `["fee_config", pump program]`.
pub const PUMP_FEE_CONFIG: Key = key("8Wf5TiAheLUqBrKXeYg2JtAFFMWtKdG2BSFgqUcPVwTt");
/// Pump PDA `["global_volume_accumulator"]`.
pub const PUMP_GLOBAL_VOLUME_ACCUMULATOR: Key = key("Hq2wp8uJ9jCPsYgNHex8RtqdvMPfVGoYwjvF1ATiwn2Y");

/// Lighthouse, a program of assertions. Not ours, not Solana's, and named only when an operator asks for a slot
/// guard. Source: Jac0xb/lighthouse; lighthouse-sdk 2.0.0.
pub const LIGHTHOUSE_PROGRAM: Key = key("L2TExMFKdjpN9kozasaurPirfHy9P8sbXoAN1qA3S95");
/// What block engines take for "first of its bundle" on any instruction. Any key that begins so does; no account
/// stands there. Source: Jito documentation on `jitodontfront`; solana.com "MEV Protection with Jito DontFront".
pub const JITO_DONT_FRONT: Key = key("jitodontfront111111111111111111111111111111");

/// Mainnet tip accounts of the Jito block engine.
///
/// Source: jito-docs `lowlatencytxnsend.md` at b5ef793; mev-protos `json_rpc/http.md` lists an older set.
pub const JITO_TIP_ACCOUNTS: [Key; 8] = [
    key("96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5"),
    key("HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe"),
    key("Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY"),
    key("ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49"),
    key("DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh"),
    key("ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt"),
    key("DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL"),
    key("3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT"),
];

/// Protocol fee recipients of ordinary coins (`Global.fee_recipient` and `Global.fee_recipients`), needed by
/// v2 only. Mayhem coins use another list.
///
/// Source: independent clients that agree on these eight (the official list is in pump-public-docs
/// `docs/FEE_RECIPIENTS.md`). `Global` on the chain has the last word: an operator can override the list.
pub const PUMP_FEE_RECIPIENTS: [Key; 8] = [
    key("62qc2CNXwrYqQScmEdiZFFAnJR262PxWEuNQtxfafNgV"),
    key("7VtfL8fvgNfhz17qKRMjzQEXgbdpnHHHQRh54R9jP2RJ"),
    key("7hTckgnGnLQR6sdH7YkqFTAA7VwTfYFaZ6EhEsU3saCX"),
    key("9rPYyANsfQZw3DnDmKE3YCQF5E8oD89UXoHn9JFEhJUz"),
    key("AVmoTthdrX6tKt4nDjco2D775W2YK3sDhxPcMmzUAmTY"),
    key("CebN5WGQ4jvEPvsVU4EoHEpgzq1VV7AbicfhtW4xC9iM"),
    key("FWsW1xNtWscwNmKv6wVsU1iTzRN6wmmk3MjxRP5tT7hz"),
    key("G5UZAVbAf46s7cKWoyKu8kYTip9DGTpbLZ2qa9Aq69dP"),
];

/// Buyback fee recipients (`Global.buyback_fee_recipients`): every v2 and v3 trade names one of them. PumpSwap's
/// own list (`GlobalConfig.buyback_fee_recipients`) holds the same eight.
///
/// Source: as for [`PUMP_FEE_RECIPIENTS`]; one public client has the two lists swapped.
pub const PUMP_BUYBACK_FEE_RECIPIENTS: [Key; 8] = [
    key("5YxQFdt3Tr9zJLvkFccqXVUwhdTWJQc1fFg2YPbxvxeD"),
    key("9M4giFFMxmFGXtc3feFzRai56WbBqehoSeRE5GK7gf7"),
    key("GXPFM2caqTtQYC2cJ5yJRi9VDkpsYZXzYdwYpGnLmtDL"),
    key("3BpXnfJaUTiwXnJNe7Ej1rcbzqTTQUvLShZaWazebsVR"),
    key("5cjcW9wExnJJiqgLjq7DEG75Pm6JBgE1hNv4B2vHXUW6"),
    key("EHAAiTxcdDwQ3U4bU6YcMsQGaekdzLS3B5SmYo46kJtL"),
    key("5eHhjP8JaYkz83CWwvGU2uMUXefd3AazWGx4gpcuEEYD"),
    key("A7hAgCzFw14fejgCp387JUJRMNyz4j89JKnhtKU8piqW"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pda::find_program_address;

    #[test]
    fn the_system_program_is_all_ones() {
        assert_eq!(key("11111111111111111111111111111111"), SYSTEM_PROGRAM);
    }

    #[test]
    fn derived_addresses_follow_from_their_seeds() {
        let derive = |seeds: &[&[u8]], program| {
            find_program_address(seeds, program).map(|(address, _)| address)
        };
        assert_eq!(derive(&[b"global"], &PUMP_PROGRAM), Some(PUMP_GLOBAL));
        assert_eq!(
            derive(&[b"__event_authority"], &PUMP_PROGRAM),
            Some(PUMP_EVENT_AUTHORITY)
        );
        assert_eq!(
            derive(&[b"global_volume_accumulator"], &PUMP_PROGRAM),
            Some(PUMP_GLOBAL_VOLUME_ACCUMULATOR)
        );
        assert_eq!(
            derive(&[b"fee_config", &PUMP_PROGRAM], &PUMP_FEE_PROGRAM),
            Some(PUMP_FEE_CONFIG)
        );
        assert_eq!(
            derive(&[b"global_config"], &PUMP_AMM_PROGRAM),
            Some(PUMP_AMM_GLOBAL_CONFIG)
        );
        assert_eq!(
            derive(&[b"__event_authority"], &PUMP_AMM_PROGRAM),
            Some(PUMP_AMM_EVENT_AUTHORITY)
        );
        assert_eq!(
            derive(&[b"fee_config", &PUMP_AMM_PROGRAM], &PUMP_FEE_PROGRAM),
            Some(PUMP_AMM_FEE_CONFIG)
        );
        assert_eq!(
            derive(&[b"amm authority"], &RAYDIUM_AMM_PROGRAM),
            Some(RAYDIUM_AMM_AUTHORITY)
        );
        assert_eq!(
            derive(&[b"vault_and_lp_mint_auth_seed"], &RAYDIUM_CP_PROGRAM),
            Some(RAYDIUM_CP_AUTHORITY)
        );
        assert_eq!(
            derive(&[b"vault_auth_seed"], &LAUNCHLAB_PROGRAM),
            Some(LAUNCHLAB_AUTHORITY)
        );
        assert_eq!(
            derive(&[b"__event_authority"], &LAUNCHLAB_PROGRAM),
            Some(LAUNCHLAB_EVENT_AUTHORITY)
        );
    }

    #[test]
    fn the_lists_hold_no_address_twice() {
        let mut all = [
            JITO_TIP_ACCOUNTS,
            PUMP_FEE_RECIPIENTS,
            PUMP_BUYBACK_FEE_RECIPIENTS,
        ]
        .concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 24);
    }
}
