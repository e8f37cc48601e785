//! What is traded, within which limits, in which bytes.

use bundle::{BlockhashRule, BuilderConfig, BuilderError, ComputeBudget, UnitLimits, WireVersion};
use market::{Bps, Key, Lamports, Side};
use risk::Limits;
use strategy::{KeySet, Params};

use super::{AMOUNT_MAX_LAMPORTS, nanos_of_ms};
use crate::config::check::{Check, quoted};
use crate::config::{
    BundleConfig, Lane, LaneClass, MarketConfig, RiskConfig, StrategyConfig, Template, WrappedSol,
};

/// Least tip a block engine takes, lamports. Source: Jito's documentation, "Tip Amount".
const TIP_MIN_LAMPORTS: u64 = 1_000;
/// Most compute units a transaction may ask for. Source: agave `compute-budget/src/compute_budget_limits.rs`
/// (`MAX_COMPUTE_UNIT_LIMIT`).
const COMPUTE_UNITS_MAX: u32 = 1_400_000;
/// Most bytes of accounts a transaction may load. Source: the same file
/// (`MAX_LOADED_ACCOUNTS_DATA_SIZE_BYTES`).
const LOADED_ACCOUNTS_BYTES_MAX: u32 = 64 * 1_024 * 1_024;

/// Stands for the wallet where only lengths matter: every key has the same.
const ANY_KEY: Key = [7; 32];

impl StrategyConfig {
    pub(super) fn plan(&self, lane: strategy::LaneClass, check: &mut Check) -> Params {
        let amounts = 0..=AMOUNT_MAX_LAMPORTS;
        check.range(
            "strategy.dev_buy_min_lamports",
            self.dev_buy_min_lamports,
            amounts.clone(),
            "lamports",
        );
        check.range(
            "strategy.dev_buy_max_lamports",
            self.dev_buy_max_lamports,
            amounts,
            "lamports",
        );
        check.at_most(
            ("strategy.dev_buy_min_lamports", self.dev_buy_min_lamports),
            ("strategy.dev_buy_max_lamports", self.dev_buy_max_lamports),
        );
        check.range(
            "strategy.entry_slots_max",
            self.entry_slots_max,
            0..=1_000,
            "slots",
        );
        check.range(
            "strategy.budget_lamports",
            self.budget_lamports,
            1..=AMOUNT_MAX_LAMPORTS,
            "lamports",
        );
        check.range(
            "strategy.entry_slippage_bps",
            self.entry_slippage_bps,
            0..=9_999,
            "basis points",
        );
        check.range(
            "strategy.entry_move_max_bps",
            self.entry_move_max_bps,
            0..=u16::MAX,
            "basis points",
        );
        check.range(
            "strategy.exit_slippage_bps",
            self.exit_slippage_bps,
            0..=9_999,
            "basis points",
        );
        check.range(
            "strategy.stop_slippage_bps",
            self.stop_slippage_bps,
            0..=9_999,
            "basis points",
        );
        check.range(
            "strategy.exit_floor_bps",
            self.exit_floor_bps,
            0..=10_000,
            "basis points",
        );
        check.range(
            "strategy.take_profit_bps",
            self.take_profit_bps,
            1..=u16::MAX,
            "basis points",
        );
        check.range(
            "strategy.stop_loss_bps",
            self.stop_loss_bps,
            1..=10_000,
            "basis points",
        );
        check.range(
            "strategy.expiry_ms",
            self.expiry_ms,
            0..=86_400_000,
            "milliseconds",
        );
        check.range(
            "strategy.expiry_slots",
            self.expiry_slots,
            0..=1_000_000,
            "slots",
        );
        if self.expiry_ms == 0 && self.expiry_slots == 0 {
            let problem = "nothing ends a position in a coin that nobody trades any more";
            let fix = "set it, or strategy.expiry_slots, above 0".to_owned();
            check.refuse("strategy.expiry_ms", "0".to_owned(), problem, fix);
        }
        Params {
            launches_enabled: self.enabled,
            creators_allowed: key_set("strategy.creators_allow", &self.creators_allow, check),
            creators_denied: key_set("strategy.creators_deny", &self.creators_deny, check),
            dev_buy_min: Lamports(self.dev_buy_min_lamports),
            dev_buy_max: Lamports(self.dev_buy_max_lamports),
            entry_slots_max: self.entry_slots_max,
            budget: Lamports(self.budget_lamports),
            entry_slippage: Bps(self.entry_slippage_bps),
            entry_move_max: Bps(self.entry_move_max_bps),
            exit_slippage: Bps(self.exit_slippage_bps),
            stop_slippage: Bps(self.stop_slippage_bps),
            exit_floor: Bps(self.exit_floor_bps),
            take_profit: Bps(self.take_profit_bps),
            stop_loss: Bps(self.stop_loss_bps),
            hold_max: nanos_of_ms(self.expiry_ms),
            hold_slots_max: self.expiry_slots,
            entry_tip: Lamports(self.entry_tip_lamports),
            exit_tip: Lamports(self.exit_tip_lamports),
            lane,
        }
    }
}

fn key_set(field: &str, texts: &[String], check: &mut Check) -> KeySet {
    let keys = check.keys(field, texts);
    KeySet::new(&keys).unwrap_or_else(|_| {
        let problem = format!("at most {} are compared", KeySet::CAPACITY);
        check.refuse(
            field,
            format!("{} addresses", keys.len()),
            &problem,
            "shorten the list".to_owned(),
        );
        KeySet::EMPTY
    })
}

impl RiskConfig {
    pub(super) fn plan(&self, check: &mut Check) -> Limits {
        let amounts = 1..=AMOUNT_MAX_LAMPORTS;
        let (trade, open) = (
            self.trade_notional_max_lamports,
            self.open_notional_max_lamports,
        );
        check.range(
            "risk.trade_notional_max_lamports",
            trade,
            amounts.clone(),
            "lamports",
        );
        check.range("risk.open_notional_max_lamports", open, amounts, "lamports");
        check.at_most(
            ("risk.trade_notional_max_lamports", trade),
            ("risk.open_notional_max_lamports", open),
        );
        check.range(
            "risk.open_positions_max",
            self.open_positions_max,
            1..=Limits::POSITIONS_MAX,
            "positions",
        );
        check.range(
            "risk.entries_per_window_max",
            self.entries_per_window_max,
            1..=Limits::RATE_MAX,
            "entries",
        );
        check.range(
            "risk.exits_per_window_max",
            self.exits_per_window_max,
            1..=Limits::RATE_MAX,
            "exits",
        );
        check.range(
            "risk.window_ms",
            self.window_ms,
            100..=86_400_000,
            "milliseconds",
        );
        check.range(
            "risk.tip_max_lamports",
            self.tip_max_lamports,
            TIP_MIN_LAMPORTS..=10_000_000_000,
            "lamports",
        );
        Limits {
            per_trade_max: Lamports(trade),
            open_notional_max: Lamports(open),
            tip_max: Lamports(self.tip_max_lamports),
            positions_max: self.open_positions_max,
            entries_per_window_max: self.entries_per_window_max,
            exits_per_window_max: self.exits_per_window_max,
            window: nanos_of_ms(self.window_ms),
        }
    }
}

impl BundleConfig {
    pub(super) fn plan(&self, check: &mut Check) -> BuilderConfig {
        for (field, limit) in [
            (
                "bundle.entry_compute_unit_limit",
                self.entry_compute_unit_limit,
            ),
            (
                "bundle.exit_compute_unit_limit",
                self.exit_compute_unit_limit,
            ),
        ] {
            if let Some(limit) = limit {
                let units = 10_000..=COMPUTE_UNITS_MAX;
                check.range(field, limit, units, "compute units");
            }
        }
        self.check_options(check);
        check.range(
            "bundle.priority_fee_lamports",
            self.priority_fee_lamports,
            0..=1_000_000_000,
            "lamports",
        );
        let loaded = self.loaded_accounts_bytes_max;
        check.range(
            "bundle.loaded_accounts_bytes_max",
            loaded,
            1_048_576..=LOADED_ACCOUNTS_BYTES_MAX,
            "bytes",
        );
        check.range(
            "bundle.tip_min_lamports",
            self.tip_min_lamports,
            TIP_MIN_LAMPORTS..=10_000_000_000,
            "lamports",
        );
        check.range("bundle.coins_max", self.coins_max, 16..=1 << 20, "coins");
        let usual = BuilderConfig::default();
        let builder = BuilderConfig {
            version: match self.template {
                Template::V0 => WireVersion::V0,
                Template::V1 => WireVersion::V1,
            },
            entry_budget: self.budget(self.entry_compute_unit_limit, usual.entry_budget),
            lookup_table: None,
            exit_budget: self.budget(self.exit_compute_unit_limit, usual.exit_budget),
            unit_limits: self.unit_limits(),
            tip_accounts: key_list("bundle.tip_accounts", &self.tip_accounts, check),
            tip_min: Lamports(self.tip_min_lamports),
            fee_recipients: key_list("bundle.fee_recipients", &self.fee_recipients, check),
            buyback_fee_recipients: key_list(
                "bundle.buyback_fee_recipients",
                &self.buyback_fee_recipients,
                check,
            ),
            priority_share: Bps(self.priority_share_bps),
            dont_front: self.dont_front,
            wrapped_sol: match self.wrapped_sol {
                WrappedSol::PerTrade => bundle::WrappedSol::PerTrade,
                WrappedSol::Standing => bundle::WrappedSol::Standing,
            },
            close_coin_account: self.close_coin_account,
            slot_guard_slots: (self.slot_guard_slots > 0).then_some(self.slot_guard_slots),
            wallet_floor: (self.wallet_floor_lamports > 0)
                .then_some(Lamports(self.wallet_floor_lamports)),
            coin_capacity: self.coins_max as usize,
        };
        self.check_lengths(&builder, check);
        builder
    }

    /// The table's address; what it holds is in a file, which nobody reads here.
    pub(super) fn plan_lookup_table(
        &self,
        market: &MarketConfig,
        check: &mut Check,
    ) -> Option<Key> {
        let (field, text) = ("bundle.lookup_table", self.lookup_table.as_ref()?);
        if market.lookup_tables.is_none() {
            let problem = "what the table holds is not known";
            let fix = "name the file that has it with market.lookup_tables".to_owned();
            check.refuse(field, quoted(text), problem, fix);
        }
        if self.template == Template::V1 {
            let problem = "v1 transactions have no lookup tables: it would have no effect";
            let fix = "leave it out, or write bundle.template = \"v0\"".to_owned();
            check.refuse(field, quoted(text), problem, fix);
        }
        check.key(field, text)
    }

    /// Parts that each fit may not fit together; said here and not at the next start. With a lookup table it is for
    /// whoever has read it to say.
    fn check_lengths(&self, builder: &BuilderConfig, check: &mut Check) {
        let usual = BundleConfig::default();
        let grows = self.dont_front
            || self.close_coin_account
            || self.slot_guard_slots > 0
            || self.wallet_floor_lamports > 0
            || self.wrapped_sol != usual.wrapped_sol;
        if !grows || self.lookup_table.is_some() {
            return;
        }
        if let Some(error) = unfit(builder) {
            let word = match self.template {
                Template::V0 => "v0",
                Template::V1 => "v1",
            };
            let problem = format!("the parts asked for do not fit into one transaction: {error}");
            let fix = "leave out dont_front, slot_guard_slots or wallet_floor_lamports".to_owned();
            check.refuse("bundle.template", quoted(word), &problem, fix);
        }
    }

    fn check_options(&self, check: &mut Check) {
        check.range(
            "bundle.priority_share_bps",
            self.priority_share_bps,
            0..=10_000,
            "basis points",
        );
        check.range(
            "bundle.slot_guard_slots",
            self.slot_guard_slots,
            0..=u64::from(bundle::blockhash::VALIDITY_BLOCKS),
            "slots",
        );
        check.range(
            "bundle.wallet_floor_lamports",
            self.wallet_floor_lamports,
            0..=AMOUNT_MAX_LAMPORTS,
            "lamports",
        );
    }

    /// What was measured by venue and side, unless one number is typed for all.
    fn unit_limits(&self) -> UnitLimits {
        let mut limits = UnitLimits::default();
        if let Some(units) = self.entry_compute_unit_limit {
            limits = limits.with_side(Side::Buy, units);
        }
        if let Some(units) = self.exit_compute_unit_limit {
            limits = limits.with_side(Side::Sell, units);
        }
        limits
    }

    /// Which lane of the strategy's words is meant.
    pub(super) const fn lane(&self) -> strategy::LaneClass {
        match self.lane_class {
            LaneClass::PrivateBundle => strategy::LaneClass::PrivateBundle,
            LaneClass::PrivateTransaction => strategy::LaneClass::PrivateTransaction,
            LaneClass::Public => strategy::LaneClass::Public,
            LaneClass::PriorityBundle => strategy::LaneClass::PriorityBundle,
        }
    }

    /// A lane class that no lane carries, and a tip that the class does not take, or of which too little would be
    /// transferred.
    pub(super) fn check_lane(&self, lane: Lane, tips: [(&str, u64); 2], check: &mut Check) {
        let class = self.lane_class.as_str();
        if lane == Lane::BlockEngine && self.lane_class != LaneClass::PrivateBundle {
            let problem = "submit.lane = \"block_engine\" carries bundles that pay by tip, and this version has no lane \
                           that carries these";
            let fix =
                "write \"private_bundle\", or submit.lane = \"paper\", which records all of them";
            check.refuse("bundle.lane_class", quoted(class), problem, fix.to_owned());
        }
        for (field, tip) in tips {
            let transferred = match self.lane_class {
                LaneClass::PrivateBundle => tip,
                LaneClass::PrivateTransaction => {
                    Lamports(tip)
                        .less_bps(Bps(self.priority_share_bps.min(10_000)))
                        .0
                }
                LaneClass::Public if tip > 0 => {
                    let problem = "bundle.lane_class = \"public\" takes no tip: its place is paid by the priority fee";
                    let fix = "write 0, and bundle.priority_fee_lamports".to_owned();
                    check.refuse(field, tip.to_string(), problem, fix);
                    continue;
                }
                LaneClass::Public | LaneClass::PriorityBundle => continue,
            };
            if transferred < self.tip_min_lamports && transferred != tip {
                let problem = format!(
                    "only {transferred} of it would be transferred, the rest is priority fee, and bundle.tip_min_lamports \
                     = {}",
                    self.tip_min_lamports
                );
                let fix = "raise it, or lower bundle.priority_share_bps".to_owned();
                check.refuse(field, tip.to_string(), &problem, fix);
            } else {
                check.at_least(
                    (field, tip),
                    ("bundle.tip_min_lamports", self.tip_min_lamports),
                );
            }
        }
    }

    /// The fee typed is in lamports, the wire wants a price per unit: rounded down, so that never more is paid.
    fn budget(&self, unit_limit: Option<u32>, usual: ComputeBudget) -> ComputeBudget {
        let unit_limit = unit_limit.unwrap_or(usual.unit_limit);
        let micro_lamports = self.priority_fee_lamports.saturating_mul(1_000_000);
        ComputeBudget {
            unit_limit,
            unit_price_micro_lamports: micro_lamports / u64::from(unit_limit.max(1)),
            loaded_accounts_data_size_limit: self.loaded_accounts_bytes_max,
        }
    }

    pub(super) fn blockhash_rule(&self, check: &mut Check) -> BlockhashRule {
        let (depth_min, age_max) = (
            self.blockhash_descendants_min,
            self.blockhash_age_max_blocks,
        );
        let validity = bundle::blockhash::VALIDITY_BLOCKS;
        check.range(
            "bundle.blockhash_descendants_min",
            depth_min,
            0..=100,
            "blocks",
        );
        check.range(
            "bundle.blockhash_age_max_blocks",
            age_max,
            1..=validity,
            "blocks",
        );
        check.at_most(
            ("bundle.blockhash_descendants_min", u64::from(depth_min)),
            ("bundle.blockhash_age_max_blocks", u64::from(age_max)),
        );
        BlockhashRule { depth_min, age_max }
    }
}

/// What does not fit into one transaction, if anything.
pub(super) fn unfit(builder: &BuilderConfig) -> Option<BuilderError> {
    let error = builder.static_prefixes(&ANY_KEY).err();
    error.filter(|error| matches!(error, BuilderError::Template { .. }))
}

fn key_list(field: &str, texts: &[String], check: &mut Check) -> Vec<Key> {
    if texts.is_empty() || texts.len() > 64 {
        let fix = "leave the key out to use those of mainnet".to_owned();
        check.refuse(
            field,
            format!("{} accounts", texts.len()),
            "must name 1 to 64",
            fix,
        );
    }
    check.keys(field, texts)
}
