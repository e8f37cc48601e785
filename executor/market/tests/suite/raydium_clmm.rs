//! Goal: a swap of a CLMM pool is what Raydium's own program answers, to the unit, and leaves the state the program
//! leaves, limit orders included.
//! Method: golden answers of the program (`golden/raydium_clmm.txt`), accounts as the program writes them, and
//! properties over random pools and whatever bytes.

use market::event::Way;
use market::raydium_clmm::{
    BitmapExtension, Config, DynamicFee, FeeOn, Pool, SQRT_PRICE_MAX, TICK_ARRAY_LEN, Tick,
    TickArray, account_kind, sqrt_price_at, tick_at,
};
use market::tick::{SQRT_PRICE_MIN, TICK_MAX, TICK_MIN, Terms};
use market::token::TransferFee;
use market::{AccountReject, Amount, QuoteReject, Swapped};
use proptest::prelude::*;

const GOLDEN: &str = include_str!("../golden/raydium_clmm.txt");

fn number<T: core::str::FromStr<Err: core::fmt::Debug>>(cell: &str) -> T {
    cell.parse().unwrap()
}

fn word(cell: &str) -> (usize, u64) {
    let (at, bits) = cell.split_once(':').unwrap();
    (number(at), u64::from_str_radix(bits, 16).unwrap())
}

fn pool(cells: &[&str]) -> (Pool, Config) {
    let mut pool = Pool {
        config: [7; 32],
        mint_0: [1; 32],
        mint_1: [2; 32],
        vault_0: [3; 32],
        vault_1: [4; 32],
        tick_spacing: number(cells[0]),
        liquidity: number(cells[3]),
        sqrt_price: number(cells[4]),
        tick: number(cells[5]),
        swaps_off: false,
        fee_on: [FeeOn::Input, FeeOn::Token0, FeeOn::Token1][number::<usize>(cells[2])],
        opens_at: 0,
        bitmap: [0; 16],
        dynamic_fee: None,
    };
    for cell in &cells[6..] {
        let (at, bits) = word(cell);
        pool.bitmap[at] = bits;
    }
    let trade_fee_rate = number(cells[1]);
    (pool, Config { trade_fee_rate })
}

fn dynamic_fee(cells: &[&str]) -> DynamicFee {
    DynamicFee {
        filter_period: number(cells[0]),
        decay_period: number(cells[1]),
        reduction_factor: number(cells[2]),
        control: number(cells[3]),
        volatility_max: number(cells[4]),
        spacing_reference: number(cells[5]),
        volatility_reference: number(cells[6]),
        volatility: number(cells[7]),
        referenced_at: number(cells[8]),
    }
}

fn extension(cells: &[&str]) -> BitmapExtension {
    let mut extension = BitmapExtension {
        pool: [9; 32],
        above: [[0; 8]; 14],
        below: [[0; 8]; 14],
    };
    for cell in cells {
        let (at, bits) = word(cell);
        let maps = if at < 14 * 8 {
            &mut extension.above
        } else {
            &mut extension.below
        };
        maps[at % (14 * 8) / 8][at % 8] = bits;
    }
    extension
}

fn array(cells: &[&str]) -> TickArray {
    let mut array = TickArray::empty([9; 32], number(cells[0]));
    for cell in &cells[1..] {
        let parts: Vec<&str> = cell.split(':').collect();
        array.ticks[number::<usize>(parts[0])] = Tick {
            net: number(parts[1]),
            has_liquidity: parts[2] == "1",
            orders: number(parts[3]),
            orders_left: number(parts[4]),
        };
    }
    array
}

/// A pool with everything its swaps read.
#[derive(Clone, Debug, PartialEq)]
struct Market {
    pool: Pool,
    config: Config,
    extension: Option<BitmapExtension>,
    arrays: Vec<TickArray>,
}

impl Market {
    fn swap(&mut self, terms: &Terms, way: Way, amount: Amount) -> Result<Swapped, QuoteReject> {
        let quoted = self.quote(terms, way, amount);
        let extension = self.extension;
        let swapped = self.pool.swap(
            self.config,
            &mut self.arrays,
            extension.as_ref(),
            terms,
            way,
            amount,
        );
        assert_eq!(quoted, swapped, "a quote is what the swap then does");
        swapped
    }

    fn quote(&self, terms: &Terms, way: Way, amount: Amount) -> Result<Swapped, QuoteReject> {
        let extension = self.extension.as_ref();
        self.pool
            .quote(self.config, &self.arrays, extension, terms, way, amount)
    }
}

fn fold(bitmap: &[u64; 16]) -> u64 {
    let step = |fold: u64, word: &u64| (fold ^ word).wrapping_mul(0x100_0000_01b3);
    bitmap.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Hands every golden swap with the market before it to `check`, which moves it.
fn each_golden(mut check: impl FnMut(&str, &mut Market, &Terms, Way, Amount, &[&str])) {
    let mut market: Option<Market> = None;
    for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split(' ').collect();
        match cells[0] {
            "pool" => {
                let (pool, config) = pool(&cells[1..]);
                market = Some(Market {
                    pool,
                    config,
                    extension: None,
                    arrays: Vec::new(),
                });
            }
            "dynamic" => {
                let cells: Vec<&str> = cells[1].split(',').collect();
                market.as_mut().unwrap().pool.dynamic_fee = Some(dynamic_fee(&cells));
            }
            "extension" => market.as_mut().unwrap().extension = Some(extension(&cells[1..])),
            "array" => market.as_mut().unwrap().arrays.push(array(&cells[1..])),
            "swap" => {
                let terms = Terms {
                    now: number(cells[1]),
                    price_limit: Some(number(cells[5])),
                    ..Terms::default()
                };
                let way = if cells[2] == "a" {
                    Way::AToB
                } else {
                    Way::BToA
                };
                let amount = number(cells[4]);
                let amount = if cells[3] == "in" {
                    Amount::In(amount)
                } else {
                    Amount::Out(amount)
                };
                let market = market.as_mut().unwrap();
                check(line, market, &terms, way, amount, &cells[6..]);
            }
            "folds" => {}
            other => panic!("{other}"),
        }
    }
}

#[test]
fn every_swap_is_what_the_program_does() {
    let (mut done, mut refused, mut dynamic, mut filled) = (0, 0, 0, 0);
    each_golden(|line, market, terms, way, amount, program| {
        let before = market.clone();
        let answer = market.swap(terms, way, amount);
        if program[0].starts_with('-') {
            assert!(answer.is_err(), "{line}: {answer:?}");
            assert_eq!(*market, before, "{line}");
            refused += 1;
            return;
        }
        let cells: Vec<&str> = program[0].split(',').collect();
        let swapped = Swapped {
            amount_in: number(cells[0]),
            amount_out: number(cells[1]),
        };
        assert_eq!(answer, Ok(swapped), "{line}");
        let mut expected = before;
        expected.pool.liquidity = number(cells[2]);
        expected.pool.sqrt_price = number(cells[3]);
        expected.pool.tick = number(cells[4]);
        assert_eq!(fold(&market.pool.bitmap), number(cells[5]), "{line}");
        expected.pool.bitmap = market.pool.bitmap;
        if expected.pool.dynamic_fee.is_some() {
            expected.pool.dynamic_fee = Some(dynamic_fee(&cells[6..]));
            dynamic += 1;
        }
        for change in &program[1..] {
            let parts: Vec<&str> = change.split(':').collect();
            let start: i32 = number(parts[0]);
            let mut arrays = expected.arrays.iter_mut();
            let array = arrays.find(|array| array.start == start).unwrap();
            let tick = &mut array.ticks[number::<usize>(parts[1])];
            (tick.orders, tick.orders_left) = (number(parts[2]), number(parts[3]));
            filled += 1;
        }
        assert_eq!(*market, expected, "{line}");
        done += 1;
    });
    assert!(
        done > 1_500 && refused > 500 && dynamic > 500 && filled > 100,
        "{done} {refused} {dynamic} {filled}"
    );
}

#[test]
fn every_tick_has_the_programs_price_and_every_price_its_tick() {
    let mix = |fold: u64, value: u128| {
        let fold = (fold ^ value as u64).wrapping_mul(0x100_0000_01b3);
        (fold ^ (value >> 64) as u64).wrapping_mul(0x100_0000_01b3)
    };
    let (mut prices, mut ticks) = (0xcbf2_9ce4_8422_2325, 0xcbf2_9ce4_8422_2325);
    for tick in TICK_MIN..=TICK_MAX {
        let price = sqrt_price_at(tick).unwrap();
        prices = mix(prices, price);
        for beside in [price - 1, price, price + 1] {
            if let Some(tick) = tick_at(beside) {
                ticks = mix(ticks, tick as u128);
            }
        }
    }
    let mut lines = GOLDEN.lines();
    let golden = lines.find(|line| line.starts_with("folds")).unwrap();
    assert_eq!(golden, format!("folds {prices} {ticks}"));
    assert_eq!(sqrt_price_at(TICK_MAX + 1), None);
    assert_eq!(sqrt_price_at(i32::MIN), None);
    assert_eq!(tick_at(SQRT_PRICE_MIN - 1), None);
    assert_eq!(tick_at(SQRT_PRICE_MAX), None);
    assert_eq!(tick_at(0), None);
}

const ACCOUNTS: &str = include_str!("../golden/concentrated_accounts.txt");

/// The account called `name`: hex, with runs of zero as `z<n>.`.
fn account(name: &str) -> Vec<u8> {
    let mut lines = ACCOUNTS.lines();
    let line = lines.find(|line| line.split(' ').next() == Some(name));
    let mut text = line.unwrap().split_once(' ').unwrap().1;
    let mut data = Vec::new();
    while !text.is_empty() {
        if let Some(run) = text.strip_prefix('z') {
            let (count, rest) = run.split_once('.').unwrap();
            data.resize(data.len() + number::<usize>(count), 0);
            text = rest;
        } else {
            data.push(u8::from_str_radix(&text[..2], 16).unwrap());
            text = &text[2..];
        }
    }
    data
}

#[test]
fn the_programs_accounts_read_back() {
    let mut expected = Pool {
        config: [7; 32],
        mint_0: [1; 32],
        mint_1: [2; 32],
        vault_0: [3; 32],
        vault_1: [4; 32],
        tick_spacing: 60,
        liquidity: 0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00,
        sqrt_price: 4_703_166_435_184_023_771,
        tick: -27_335,
        swaps_off: false,
        fee_on: FeeOn::Token1,
        opens_at: 1_790_000_000,
        bitmap: [0; 16],
        dynamic_fee: Some(DynamicFee {
            filter_period: 30,
            decay_period: 600,
            reduction_factor: 5000,
            control: 1500,
            volatility_max: 350_000,
            spacing_reference: -456,
            volatility_reference: 12_345,
            volatility: 23_456,
            referenced_at: 1_790_000_001,
        }),
    };
    expected.bitmap[7] = 0x8000_0000_0000_0001;
    expected.bitmap[15] = 3;
    assert_eq!(account("clmm_pool").len(), 1544);
    assert_eq!(Pool::parse(&account("clmm_pool")), Ok(expected));
    expected.dynamic_fee = None;
    expected.fee_on = FeeOn::Input;
    expected.swaps_off = true;
    assert_eq!(Pool::parse(&account("clmm_pool_off")), Ok(expected));

    let config = Config {
        trade_fee_rate: 2_500,
    };
    assert_eq!(Config::parse(&account("clmm_config")), Ok(config));

    let mut array = TickArray::empty([9; 32], -28_800);
    let tick = |net, has_liquidity, orders, orders_left| Tick {
        net,
        has_liquidity,
        orders,
        orders_left,
    };
    array.ticks[1] = tick(-5, true, 0, 0);
    array.ticks[30] = tick(0, false, 11, 12);
    array.ticks[59] = tick(i128::MIN, true, 0, 13);
    assert_eq!(TickArray::parse(&account("clmm_tick_array")), Ok(array));

    let extension = BitmapExtension::parse(&account("clmm_extension")).unwrap();
    assert_eq!(extension.pool, [9; 32]);
    let (above, below) = (extension.above, extension.below);
    assert_eq!((above[0][0], above[13][7]), (1, 2));
    assert_eq!((below[0][7], below[13][0]), (3, 4));
    assert_eq!(above.iter().chain(&below).flatten().sum::<u64>(), 10);
}

#[test]
fn what_is_not_understood_is_refused() {
    let changed = |name: &str, at: usize, byte: u8| {
        let mut data = account(name);
        data[at] = byte;
        data
    };
    let (bad, unknown) = (AccountReject::BadField, AccountReject::Unknown);
    // A fee token that does not exist, a tick spacing of zero, reserved bytes of the dynamic fee, its parameters.
    assert_eq!(Pool::parse(&changed("clmm_pool", 390, 3)), Err(bad));
    assert_eq!(Pool::parse(&changed("clmm_pool", 235, 0)), Err(bad));
    for reserved in [1130, 1175] {
        assert_eq!(
            Pool::parse(&changed("clmm_pool", reserved, 1)),
            Err(unknown)
        );
        assert_eq!(
            Pool::parse(&changed("clmm_pool_off", reserved, 1)),
            Err(unknown)
        );
    }
    assert_eq!(Pool::parse(&changed("clmm_pool_off", 1096, 1)), Err(bad));
    // A fee above the whole, a tick that is not where it stands.
    assert_eq!(Config::parse(&changed("clmm_config", 50, 1)), Err(bad));
    let second = 44 + 168 * 30;
    assert_eq!(
        TickArray::parse(&changed("clmm_tick_array", second, 1)),
        Err(bad)
    );
    for (name, needed) in [
        ("clmm_pool", 1176),
        ("clmm_config", 51),
        ("clmm_tick_array", 44 + 168 * 59 + 140),
        ("clmm_extension", 40 + 64 * 28),
    ] {
        let data = account(name);
        for len in [0, 7, 8, needed / 2, needed - 1] {
            let cut = &data[..len];
            let answer = match name {
                "clmm_pool" => Pool::parse(cut).err(),
                "clmm_config" => Config::parse(cut).err(),
                "clmm_tick_array" => TickArray::parse(cut).err(),
                _ => BitmapExtension::parse(cut).err(),
            };
            assert_eq!(answer, Some(AccountReject::Short), "{name} {len}");
        }
        let other = changed(name, 0, 0);
        assert_eq!(Pool::parse(&other).err(), Some(AccountReject::OtherKind));
    }
}

#[test]
fn closed_pools_and_limits_on_the_wrong_side_are_refused() {
    let mut checked = 0;
    each_golden(|line, market, terms, way, amount, _| {
        if market.quote(terms, way, amount).is_err() {
            return;
        }
        let refused = |market: &Market, terms: &Terms| {
            assert_eq!(
                market.quote(terms, way, amount),
                Err(QuoteReject::Closed),
                "{line}"
            );
        };
        let mut closed = market.clone();
        closed.pool.swaps_off = true;
        refused(&closed, terms);
        closed.pool.swaps_off = false;
        closed.pool.opens_at = terms.now;
        refused(&closed, terms);
        closed.pool.opens_at -= 1;
        assert!(closed.quote(terms, way, amount).is_ok(), "{line}");
        let price_limit = Some(market.pool.sqrt_price);
        refused(
            market,
            &Terms {
                price_limit,
                ..*terms
            },
        );
        market.arrays.clear();
        assert_eq!(
            market.quote(terms, way, amount),
            Err(QuoteReject::PastKnown),
            "{line}"
        );
        checked += 1;
    });
    assert!(checked > 100);
}

/// A market of tick spacing 10 around its price, with limit orders and in half of the cases a dynamic fee.
fn market() -> impl Strategy<Value = Market> {
    let positions = prop::collection::vec((-90i32..70, 1i32..150, 10u32..75), 1..6);
    let orders = prop::collection::vec((-90i32..90, 0u32..40, 0u32..40), 0..6);
    let fee = (
        0u32..100_001,
        0usize..3,
        any::<bool>(),
        1u32..100_000,
        0u32..350_001,
    );
    (-20_000i32..20_000, positions, orders, fee).prop_map(|(tick, positions, orders, fee)| {
        const SPACING: i32 = 10;
        let (trade_fee_rate, fee_on, is_dynamic, control, volatility_reference) = fee;
        let ticks = TICK_ARRAY_LEN as i32 * SPACING;
        let mut all = std::collections::BTreeMap::<i32, Tick>::new();
        let mut liquidity = 0;
        let spaced = tick.div_euclid(SPACING);
        for (from, len, bits) in positions {
            let low = (spaced + from) * SPACING;
            let high = low + len * SPACING;
            let amount = 1i128 << bits;
            for (at, net) in [(low, amount), (high, -amount)] {
                let tick = all.entry(at).or_default();
                tick.net += net;
                tick.has_liquidity = true;
            }
            if (low..high).contains(&tick) {
                liquidity += amount.unsigned_abs();
            }
        }
        for (at, orders, orders_left) in orders {
            let tick = all.entry((spaced + at) * SPACING).or_default();
            tick.orders = 1 << orders;
            tick.orders_left = 1 << orders_left;
        }
        let mut pool = Pool {
            config: [7; 32],
            mint_0: [1; 32],
            mint_1: [2; 32],
            vault_0: [3; 32],
            vault_1: [4; 32],
            tick_spacing: SPACING as u16,
            liquidity,
            sqrt_price: sqrt_price_at(tick).unwrap(),
            tick,
            swaps_off: false,
            fee_on: [FeeOn::Input, FeeOn::Token0, FeeOn::Token1][fee_on],
            opens_at: 0,
            bitmap: [0; 16],
            dynamic_fee: is_dynamic.then_some(DynamicFee {
                filter_period: 30,
                decay_period: 600,
                reduction_factor: 5000,
                control,
                volatility_max: 350_000,
                spacing_reference: spaced,
                volatility_reference,
                volatility: 0,
                referenced_at: 0,
            }),
        };
        let mut arrays = Vec::<TickArray>::new();
        for (tick, state) in all {
            let index = tick.div_euclid(ticks);
            pool.bitmap[(index + 512) as usize / 64] |= 1 << ((index + 512) % 64);
            let start = index * ticks;
            if arrays.last().is_none_or(|array| array.start != start) {
                arrays.push(TickArray::empty([9; 32], start));
            }
            let array = arrays.last_mut().unwrap();
            array.ticks[((tick - start) / SPACING) as usize] = state;
        }
        Market {
            pool,
            config: Config { trade_fee_rate },
            extension: None,
            arrays,
        }
    })
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![Just(Way::AToB), Just(Way::BToA)]
}

fn amount() -> impl Strategy<Value = u64> {
    (0u32..64, any::<u64>()).prop_map(|(bits, number)| number >> bits)
}

const fn back(way: Way) -> Way {
    match way {
        Way::AToB => Way::BToA,
        Way::BToA => Way::AToB,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_an_input_buys_costs_the_same_as_an_output_but_for_rounding(market in market(), way in way(), given in amount()) {
        let terms = Terms { now: 10, ..Terms::default() };
        let mut bought = market.clone();
        let Ok(swapped) = bought.swap(&terms, way, Amount::In(given)) else {
            return Ok(());
        };
        let asked = match market.quote(&terms, way, Amount::Out(swapped.amount_out)) {
            // Numbers past the program's own integers, which an output meets before an input does.
            Err(QuoteReject::Overflow) => return Ok(()),
            asked => asked.unwrap(),
        };
        prop_assert_eq!(asked.amount_out, swapped.amount_out);
        // Each stretch of the way, and each tick's orders, round what goes in and its fee up anew.
        let (pool, after) = (market.pool, bought.pool);
        let stretches = u64::from(pool.tick.abs_diff(after.tick)) / u64::from(pool.tick_spacing) + 2;
        prop_assert!(asked.amount_in <= swapped.amount_in + 6 * stretches, "{asked:?} {swapped:?}");
    }

    #[test]
    fn there_and_back_gains_nothing(mut market in market(), way in way(), given in amount()) {
        let terms = Terms { now: 10, ..Terms::default() };
        let before = market.clone();
        let Ok(there) = market.swap(&terms, way, Amount::In(given)) else {
            prop_assert_eq!(market, before);
            return Ok(());
        };
        prop_assert_eq!(there.amount_in, given);
        // Orders beyond the price the first swap ended at sell what the second wants, at their own price; those it
        // met are gone. Neither gives more than was paid.
        let before = market.clone();
        match market.swap(&terms, back(way), Amount::In(there.amount_out)) {
            Ok(home) => prop_assert!(home.amount_out <= there.amount_in, "{there:?} {home:?}"),
            Err(_) => prop_assert_eq!(market, before),
        }
    }

    #[test]
    fn any_numbers_are_answered(
        numbers in any::<[u128; 3]>(), small in any::<[u16; 6]>(), tick in any::<i32>(), near in any::<bool>(),
        ticks in prop::collection::vec((0usize..60, any::<(i128, bool, u64, u64)>()), 0..6), starts in any::<[i32; 3]>(),
        bitmap in any::<[u64; 16]>(), has_extension in any::<bool>(),
        dynamic in any::<Option<([u16; 3], [u32; 4], i32, u64)>>(), now in any::<u64>(),
        way in way(), given in any::<u64>(), is_in in any::<bool>(), trade_fee_rate in any::<u32>(),
    ) {
        let pool = Pool {
            config: [7; 32],
            mint_0: [1; 32],
            mint_1: [2; 32],
            vault_0: [3; 32],
            vault_1: [4; 32],
            tick_spacing: if near { small[0] % 300 } else { small[0] },
            liquidity: numbers[0] >> (small[2] % 128),
            sqrt_price: if near { SQRT_PRICE_MIN + (numbers[1] >> (32 + small[3] % 96)) } else { numbers[1] },
            tick: if near { tick % 443_637 } else { tick },
            swaps_off: false,
            fee_on: [FeeOn::Input, FeeOn::Token0, FeeOn::Token1][usize::from(small[1] % 3)],
            opens_at: 0,
            bitmap,
            dynamic_fee: dynamic.map(|(shorts, longs, spacing_reference, referenced_at)| DynamicFee {
                filter_period: shorts[0] % 100 + 1,
                decay_period: shorts[1] | 128,
                reduction_factor: shorts[2] % 9_999 + 1,
                control: longs[0] % 99_999 + 1,
                volatility_max: longs[1] >> 12,
                spacing_reference,
                volatility_reference: longs[2],
                volatility: longs[3],
                referenced_at,
            }),
        };
        let wide = i64::from(pool.tick_spacing) * 60;
        let base = i64::from(pool.tick).checked_div_euclid(wide).unwrap_or(0);
        let arrays = starts.into_iter().enumerate().map(|(at, start)| {
            let start = if near { ((base + at as i64 - 1) * wide) as i32 } else { start };
            let mut array = TickArray::empty([9; 32], start);
            for (place, (net, has_liquidity, orders, orders_left)) in &ticks {
                let (net, has_liquidity) = (*net >> (small[5] % 100), *has_liquidity);
                array.ticks[*place] = Tick { net, has_liquidity, orders: *orders, orders_left: *orders_left };
            }
            array
        }).collect();
        let mut market = Market {
            pool,
            config: Config { trade_fee_rate: if near { trade_fee_rate % 1_000_000 } else { trade_fee_rate } },
            extension: has_extension.then_some(BitmapExtension {
                pool: [9; 32],
                above: [[bitmap[0]; 8]; 14],
                below: [[bitmap[1]; 8]; 14],
            }),
            arrays,
        };
        let terms = Terms {
            now,
            price_limit: (small[4] % 2 == 0).then_some(numbers[2]),
            fee_a: TransferFee { bps: small[5], fee_max: given },
            ..Terms::default()
        };
        let before = market.clone();
        let asked = if is_in { Amount::In(given) } else { Amount::Out(given) };
        if market.swap(&terms, way, asked).is_err() {
            prop_assert_eq!(market, before);
        }
    }

    #[test]
    fn any_bytes_are_answered(mut data in prop::collection::vec(any::<u8>(), 0..11_000), kind in 0usize..4) {
        let kinds = [
            account_kind::POOL,
            account_kind::CONFIG,
            account_kind::TICK_ARRAY,
            account_kind::BITMAP_EXTENSION,
        ];
        for (byte, of_kind) in data.iter_mut().zip(kinds[kind]) {
            *byte = of_kind;
        }
        let _ = (Pool::parse(&data), Config::parse(&data), TickArray::parse(&data), BitmapExtension::parse(&data));
    }
}
