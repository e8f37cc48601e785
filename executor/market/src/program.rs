//! Every program whose instructions are read, by its id.
//!
//! Discriminators collide across programs (`swap` of five of them is the same eight bytes), so an instruction is
//! known by program id and discriminator together.

use crate::base58::key;
use crate::units::Key;

macro_rules! programs {
    ($($(#[$about:meta])* $variant:ident = $name:literal, $id:literal;)*) => {
        /// A program whose instructions are read.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Program {
            $($(#[$about])* $variant,)*
        }

        impl Program {
            /// Every one, in the order of the discriminants.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = [$($name,)*].len();
            const IDS: [Key; Self::COUNT] = [$(key($id),)*];
            const NAMES: [&'static str; Self::COUNT] = [$($name,)*];
        }
    };
}

// Sources: the `address` of each file under facts of the venue (IDLs named in the venue's module), and for the
// system's programs `solana-sdk-ids`.
programs! {
    /// Pump's bonding curves.
    Pump = "pump", "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P";
    /// PumpSwap, where completed Pump curves trade on.
    PumpAmm = "pump_amm", "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA";
    /// Raydium AMM v4.
    RaydiumAmm = "raydium_amm", "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8";
    /// Raydium CPMM.
    RaydiumCp = "raydium_cp", "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C";
    /// Raydium CLMM.
    RaydiumClmm = "raydium_clmm", "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK";
    /// Raydium LaunchLab.
    LaunchLab = "launchlab", "LanMV9sAd7wArD4vJFi2qDdfnVhFxYSUg6eADduJ3uj";
    /// Orca Whirlpool.
    Whirlpool = "whirlpool", "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc";
    /// Meteora DLMM.
    Dlmm = "dlmm", "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo";
    /// Meteora dynamic bonding curve.
    Dbc = "dbc", "dbcij3LWUppWqq96dh6gJWwBifmcGfLSB5D4DuSMaqN";
    /// Meteora DAMM v2.
    Damm = "damm", "cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG";
    /// Jupiter's aggregator, version 6.
    Jupiter = "jupiter", "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4";
    /// The Pump app's router (`pump_stables_router`).
    PumpApp = "pump_app", "6Vo3245eszAb5wuqEMw8mGdbfRUdKbHhDHP5LcaGuTAB";
    /// The router of Terminal, once Padre (`terminal_proxy`).
    Terminal = "terminal", "term9YPb9mzAsABaqN71A4xdbxHmpBNZavpBiQKZzN3";
    /// Axiom's router.
    Axiom = "axiom", "FLASHX8DrLbgeR8FcfNV1F5krxYcYMUdBkrP1EPBtxB9";
}

impl Program {
    /// The program of that id.
    ///
    /// Asked for every instruction of every transaction, and mostly answered with no: only the one program that has the
    /// place of its first word is compared.
    #[inline]
    #[must_use]
    pub fn of(id: &Key) -> Option<Self> {
        let program = Self::PLACES[place(first_word(id), Self::FACTOR)];
        (program.id() == id).then_some(program)
    }

    /// A factor that gives each of them a place of its own.
    const FACTOR: u64 = {
        let mut factor = 0x9e37_79b9_7f4a_7c15;
        while !Self::are_apart(factor) {
            factor += 2;
        }
        factor
    };

    /// Who has which place; empty ones are the first program's, whose id is compared like any other's.
    const PLACES: [Self; PLACE_COUNT] = {
        let mut places = [Self::ALL[0]; PLACE_COUNT];
        let mut at = 0;
        while at < Self::COUNT {
            places[place(first_word(&Self::IDS[at]), Self::FACTOR)] = Self::ALL[at];
            at += 1;
        }
        places
    };

    const fn are_apart(factor: u64) -> bool {
        let (mut taken, mut at) = (0u64, 0);
        while at < Self::COUNT {
            let bit = 1 << place(first_word(&Self::IDS[at]), factor);
            if taken & bit != 0 {
                return false;
            }
            taken |= bit;
            at += 1;
        }
        true
    }

    /// Its id.
    #[inline]
    #[must_use]
    pub const fn id(self) -> &'static Key {
        &Self::IDS[self as usize]
    }

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Places for a word, of which a few are taken.
const PLACE_COUNT: usize = 64;

const fn place(word: u64, factor: u64) -> usize {
    (word.wrapping_mul(factor) >> 58) as usize
}

const fn first_word(id: &Key) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *id;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_finds_its_program_and_nothing_else_does() {
        for program in Program::ALL {
            assert_eq!(Program::of(program.id()), Some(program));
            let mut other = *program.id();
            other[31] ^= 1;
            assert_eq!(Program::of(&other), None);
        }
        assert_eq!(Program::of(&[0; 32]), None);
        assert_eq!(Program::of(&crate::pump::WRAPPED_SOL), None);
    }
}
