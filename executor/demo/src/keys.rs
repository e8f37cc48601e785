//! Addresses the market knows, and the derivation of those that belong to a program.

use curve25519_dalek::edwards::CompressedEdwardsY;
use sha2::{Digest, Sha256};

/// A 32-byte address or hash.
pub type Key = [u8; 32];

const fn key(text: &str) -> Key {
    match bs58::decode(text.as_bytes()).into_array_const::<32>() {
        Ok(key) => key,
        Err(_) => panic!("not a base58 key"),
    }
}

/// `key` in base58, as explorers and the `--leaders` file write it.
pub fn base58(key: &Key) -> String {
    bs58::encode(key).into_string()
}

/// System program.
pub const SYSTEM: Key = [0; 32];
/// SPL token program.
pub const TOKEN: Key = key("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
/// Token-2022 program.
pub const TOKEN_2022: Key = key("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");
/// Associated token account program.
pub const ASSOCIATED_TOKEN: Key = key("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
/// Compute budget program.
pub const COMPUTE_BUDGET: Key = key("ComputeBudget111111111111111111111111111111");
/// Address lookup table program.
pub const ADDRESS_LOOKUP_TABLE: Key = key("AddressLookupTab1e1111111111111111111111111");
/// Vote program.
pub const VOTE: Key = key("Vote111111111111111111111111111111111111111");
/// Wrapped SOL mint.
pub const WRAPPED_SOL: Key = key("So11111111111111111111111111111111111111112");
/// Rent sysvar.
pub const RENT: Key = key("SysvarRent111111111111111111111111111111111");
/// Metaplex token metadata program.
pub const TOKEN_METADATA: Key = key("metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s");
/// Pump bonding curve program.
pub const PUMP: Key = key("6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P");
/// Pump fees program.
pub const PUMP_FEES: Key = key("pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ");
/// Mayhem program.
pub const MAYHEM: Key = key("MAyhSmzXzV1pTf7LsNkrNwkWKTo4ougAJ1PPg47MD4e");

/// Two programs that only exist in this market: each passes a trade on to Pump from inside, where a
/// reader of shreds cannot see it.
pub const ROUTERS: [Key; 2] = [[0xA7; 32], [0xB9; 32]];

/// Pump `global`: PDA `["global"]`.
pub const PUMP_GLOBAL: Key = key("4wTV1YmiEkRvAtNtsSGPtUrqRYQMe5SKy2uB4Jjaxnjf");
/// Pump event authority: PDA `["__event_authority"]`.
pub const PUMP_EVENT_AUTHORITY: Key = key("Ce6TQqeHC9p8KetsN6JsjHK7UTZk7nasjjnr7XxXp9F1");
/// Pump's fee configuration: PDA `["fee_config", pump]` of the fees program.
pub const PUMP_FEE_CONFIG: Key = key("8Wf5TiAheLUqBrKXeYg2JtAFFMWtKdG2BSFgqUcPVwTt");
/// Pump's global volume accumulator: PDA `["global_volume_accumulator"]`.
pub const PUMP_GLOBAL_VOLUME: Key = key("Hq2wp8uJ9jCPsYgNHex8RtqdvMPfVGoYwjvF1ATiwn2Y");

/// `Global.fee_recipient` and `Global.fee_recipients` on mainnet, as public trading clients list them; the
/// official list is pump-public-docs `docs/FEE_RECIPIENTS.md`. Mayhem coins have another list, which this
/// market does not ask for.
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

/// `Global.buyback_fee_recipients` on mainnet, as public trading clients list them.
pub const PUMP_BUYBACK_RECIPIENTS: [Key; 8] = [
    key("5YxQFdt3Tr9zJLvkFccqXVUwhdTWJQc1fFg2YPbxvxeD"),
    key("9M4giFFMxmFGXtc3feFzRai56WbBqehoSeRE5GK7gf7"),
    key("GXPFM2caqTtQYC2cJ5yJRi9VDkpsYZXzYdwYpGnLmtDL"),
    key("3BpXnfJaUTiwXnJNe7Ej1rcbzqTTQUvLShZaWazebsVR"),
    key("5cjcW9wExnJJiqgLjq7DEG75Pm6JBgE1hNv4B2vHXUW6"),
    key("EHAAiTxcdDwQ3U4bU6YcMsQGaekdzLS3B5SmYo46kJtL"),
    key("5eHhjP8JaYkz83CWwvGU2uMUXefd3AazWGx4gpcuEEYD"),
    key("A7hAgCzFw14fejgCp387JUJRMNyz4j89JKnhtKU8piqW"),
];

/// Jito's tip accounts on mainnet (jito-docs `lowlatencytxnsend.md`).
pub const TIP_ACCOUNTS: [Key; 8] = [
    key("96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5"),
    key("HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe"),
    key("Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY"),
    key("ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49"),
    key("DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh"),
    key("ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt"),
    key("DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL"),
    key("3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT"),
];

/// The program derived address of `seeds` under `program`: the first bump from 255 down whose
/// SHA-256 is no point of the curve (solana `Pubkey::find_program_address`).
///
/// # Panics
/// When all 256 bumps hit the curve, which nobody has seen.
pub fn program_address(seeds: &[&[u8]], program: &Key) -> Key {
    let mut prefix = Sha256::new();
    for seed in seeds {
        prefix.update(seed);
    }
    for bump in (0..=u8::MAX).rev() {
        let mut hasher = prefix.clone();
        hasher.update([bump]);
        hasher.update(program);
        hasher.update(b"ProgramDerivedAddress");
        let address: Key = hasher.finalize().into();
        if CompressedEdwardsY(address).decompress().is_none() {
            return address;
        }
    }
    panic!("no bump leaves the curve");
}

/// The associated token account of `owner` for `mint`.
pub fn associated_token(owner: &Key, token_program: &Key, mint: &Key) -> Key {
    program_address(&[owner, token_program, mint], &ASSOCIATED_TOKEN)
}

/// The bonding curve of `mint`.
pub fn bonding_curve(mint: &Key) -> Key {
    program_address(&[b"bonding-curve", mint], &PUMP)
}

/// The second bonding curve account of `mint`, a trailing account of v1 trades.
pub fn bonding_curve_v2(mint: &Key) -> Key {
    program_address(&[b"bonding-curve-v2", mint], &PUMP)
}

/// Where `creator`'s fees go in v1 and v2 trades.
pub fn creator_vault(creator: &Key) -> Key {
    program_address(&[b"creator-vault", creator], &PUMP)
}

/// `user`'s volume accumulator.
pub fn user_volume_accumulator(user: &Key) -> Key {
    program_address(&[b"user_volume_accumulator", user], &PUMP)
}

/// The fee sharing configuration of `mint`; need not exist.
pub fn sharing_config(mint: &Key) -> Key {
    program_address(&[b"sharing-config", mint], &PUMP_FEES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivations_give_the_published_addresses() {
        assert_eq!(program_address(&[b"global"], &PUMP), PUMP_GLOBAL);
        assert_eq!(
            program_address(&[b"__event_authority"], &PUMP),
            PUMP_EVENT_AUTHORITY
        );
        assert_eq!(
            program_address(&[b"fee_config", &PUMP], &PUMP_FEES),
            PUMP_FEE_CONFIG
        );
        assert_eq!(
            program_address(&[b"global_volume_accumulator"], &PUMP),
            PUMP_GLOBAL_VOLUME
        );
    }

    #[test]
    fn the_token_program_is_part_of_an_associated_account() {
        let (owner, mint) = ([1; 32], [2; 32]);
        let token = associated_token(&owner, &TOKEN, &mint);
        assert_ne!(token, associated_token(&owner, &TOKEN_2022, &mint));
        assert!(CompressedEdwardsY(token).decompress().is_none());
    }
}
