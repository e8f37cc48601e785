//! Reads what the Meteora binaries did (`golden/{damm,dbc,dlmm}.txt`, format at their heads).

use market::damm::Terms;
use market::event::Way;
use market::token::TransferFee;
use market::{QuoteReject, Swapped};

/// A line of a golden file.
pub(crate) enum Step<'a> {
    /// A pool begins; accounts as they were.
    Pool(&'a [u8]),
    /// The program was asked to swap over it.
    Swap(Asked),
}

/// What the program was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) way: Way,
    /// 0 exact in, 1 up to in, 2 exact out.
    pub(crate) mode: u8,
    pub(crate) amount: u64,
    pub(crate) terms: Terms,
}

/// How many swaps landed, and how many the program refused.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) landed: u32,
    pub(crate) refused: u32,
}

/// Plays every line to `ours` and compares each swap's answer and what it leaves.
pub(crate) fn replay(
    text: &str,
    mut ours: impl FnMut(&Step<'_>) -> Option<(Result<Swapped, QuoteReject>, u32)>,
) -> Counts {
    let mut counts = Counts::default();
    let mut start = Terms::default();
    for (line_index, line) in text.lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        let cells: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| cells[at].parse::<u64>().unwrap();
        if cells[0] == "pool" {
            start = Terms {
                slot: number(1),
                unix_seconds: number(2),
                transfer_fee_a: transfer_fee(number(3), number(4)),
                transfer_fee_b: transfer_fee(number(5), number(6)),
                ..Terms::default()
            };
            ours(&Step::Pool(&sparse(&cells[7..])));
            continue;
        }
        let asked = Asked {
            way: if cells[0] == "a" {
                Way::AToB
            } else {
                Way::BToA
            },
            mode: number(1) as u8,
            amount: number(2),
            terms: Terms {
                slot: start.slot + number(3),
                unix_seconds: start.unix_seconds + number(4),
                has_referral: number(5) & 1 == 1,
                in_launch: number(5) & 2 == 2,
                ..start
            },
        };
        let (swapped, state) = ours(&Step::Swap(asked)).unwrap();
        if cells.len() == 7 {
            counts.refused += 1;
            assert!(
                swapped.is_err(),
                "line {}: {line}: {swapped:?}",
                line_index + 1
            );
            continue;
        }
        counts.landed += 1;
        let theirs = Swapped {
            amount_in: number(6),
            amount_out: number(7),
        };
        assert_eq!(swapped, Ok(theirs), "line {}: {line}", line_index + 1);
        assert_eq!(
            format!("{state:08x}"),
            cells[8],
            "what line {} leaves: {line}",
            line_index + 1
        );
    }
    counts
}

/// The account bytes of every pool in `text`.
pub(crate) fn fields(text: &str) -> impl Iterator<Item = Vec<u8>> {
    text.lines()
        .filter_map(|line| line.strip_prefix("pool "))
        .map(|line| sparse(&line.split(' ').collect::<Vec<_>>()[6..]))
}

/// 32 bits over some bytes: FNV-1a, cut.
pub(crate) fn digest(parts: &[&[u8]]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in parts.iter().flat_map(|part| part.iter()) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash as u32
}

fn transfer_fee(bps: u64, fee_max: u64) -> TransferFee {
    TransferFee {
        bps: bps as u16,
        fee_max,
    }
}

/// Accounts one behind the other, each a length and the runs that are not zero.
fn sparse(cells: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for account in cells.chunks(2) {
        let start = out.len();
        out.resize(start + account[0].parse::<usize>().unwrap(), 0);
        for run in account[1].split(',').filter(|run| !run.is_empty()) {
            let (at, hex) = run.split_once(':').unwrap();
            let at = start + at.parse::<usize>().unwrap();
            for index in 0..hex.len() / 2 {
                out[at + index] = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap();
            }
        }
    }
    out
}
