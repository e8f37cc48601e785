//! The same buy by `sol-trade-sdk` 11.0.1, as far as its code is public and works offline.
//!
//! Its own path from parameters to bytes is `PumpFunInstructionBuilder::build_buy_instructions`, then, for each
//! relay, `build_transaction` (its V0 mode, which without lookup tables compiles a legacy message) and
//! `serialize_transaction_bincode_sync`. Its caches of addresses and instructions are its own, as they come.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bench::launch::{Launch, Order};
use sol_trade_sdk::common::bonding_curve::BondingCurveAccount;
use sol_trade_sdk::common::{GasFeeStrategy, TradeTransactionVersion};
use sol_trade_sdk::constants::{SOL_TOKEN_ACCOUNT, TOKEN_PROGRAM};
use sol_trade_sdk::instruction::pumpfun::PumpFunInstructionBuilder;
use sol_trade_sdk::swqos::TradeType;
use sol_trade_sdk::swqos::serialization::{PooledTxBufGuard, serialize_transaction_bincode_sync};
use sol_trade_sdk::trading::InstructionBuilder;
use sol_trade_sdk::trading::common::{build_transaction, extend_compute_budget_instructions};
use sol_trade_sdk::trading::core::params::{
    DexParamEnum, PumpFunParams, PumpFunV3Params, SwapParams, TokenTransferFee,
};
use sol_trade_sdk::trading::core::transaction_pool::compile_message;
use solana_sdk::hash::Hash;
use solana_sdk::instruction::Instruction;
use solana_sdk::message::v1::TransactionConfig;
use solana_sdk::pubkey::Pubkey;
use solana_sdk::signature::Keypair;
use solana_sdk::signer::Signer;

use crate::coin::{BLOCKHASH, TOKENS};

/// Lamports of a SOL.
const SOL: f64 = 1e9;

/// Builds and signs with that SDK.
pub(crate) struct TradeSdk {
    payer: Arc<Keypair>,
    order: Order,
    tip_account: Pubkey,
    tip: f64,
}

impl TradeSdk {
    /// For the wallet of `seed`.
    pub(crate) fn new(seed: [u8; 32], order: Order) -> Self {
        let payer = Arc::new(Keypair::new_from_array(seed));
        // What its client does when it starts.
        sol_trade_sdk::common::fast_fn::fast_init(&payer.pubkey());
        Self {
            payer,
            order,
            tip_account: order.tip_account.into(),
            tip: order.tip as f64 / SOL,
        }
    }

    /// What its user hands over for one coin: everything known, no endpoint to ask.
    pub(crate) fn parameters(&self, coin: &Launch) -> SwapParams {
        let curve = BondingCurveAccount {
            account: coin.bonding_curve.into(),
            ..BondingCurveAccount::default()
        };
        let curve = PumpFunParams {
            bonding_curve: Arc::new(curve),
            associated_bonding_curve: coin.associated_bonding_curve.into(),
            observed_trade_creator: None,
            creator_vault: Pubkey::default(),
            fee_sharing_creator_vault_if_active: None,
            token_program: coin.token_program.into(),
            close_token_account_when_sell: None,
            fee_recipient: Pubkey::default(),
            quote_mint: Pubkey::default(),
        };
        SwapParams {
            rpc: None,
            payer: Arc::clone(&self.payer),
            trade_type: TradeType::Buy,
            input_mint: SOL_TOKEN_ACCOUNT,
            input_token_program: None,
            output_mint: coin.mint.into(),
            output_token_program: None,
            input_amount: Some(self.order.spend),
            slippage_basis_points: None,
            address_lookup_table_accounts: Vec::new(),
            recent_blockhash: Some(Hash::new_from_array(BLOCKHASH)),
            wait_tx_confirmed: false,
            protocol_params: DexParamEnum::PumpFunV3(PumpFunV3Params {
                curve,
                quote_token_program: TOKEN_PROGRAM,
                minimum_output_amount: TOKENS,
                base_transfer_fee: TokenTransferFee::default(),
                quote_transfer_fee: TokenTransferFee::default(),
            }),
            open_seed_optimize: false,
            swqos_clients: Arc::new(Vec::new()),
            middleware_manager: None,
            durable_nonce: None,
            with_tip: true,
            create_input_mint_ata: false,
            close_input_mint_ata: false,
            create_output_mint_ata: true,
            close_output_mint_ata: false,
            fixed_output_amount: Some(TOKENS),
            gas_fee_strategy: GasFeeStrategy::new(),
            simulate: false,
            log_enabled: false,
            wait_for_all_submits: false,
            use_dedicated_sender_threads: false,
            sender_thread_cores: None,
            max_sender_concurrency: 1,
            effective_core_ids: Arc::new(Vec::new()),
            check_min_tip: false,
            transaction_version: TradeTransactionVersion::V0,
            grpc_recv_us: None,
            use_exact_sol_amount: None,
        }
    }

    /// The compiled message without a signature: what `build_transaction` does before it signs, by the public
    /// functions it does it with.
    #[inline]
    pub(crate) fn message(&self, parameters: &SwapParams) -> Vec<u8> {
        let business = instructions(parameters);
        let payer = self.payer.pubkey();
        let mut all = Vec::with_capacity(business.len() + 5);
        all.push(solana_system_interface::instruction::transfer(
            &payer,
            &self.tip_account,
            self.order.tip,
        ));
        let budget = &self.order.budget;
        extend_compute_budget_instructions(
            &mut all,
            budget.unit_price_micro_lamports,
            budget.unit_limit,
        );
        all.extend_from_slice(&business);
        let blockhash = Hash::new_from_array(BLOCKHASH);
        let version = TradeTransactionVersion::V0;
        let config = TransactionConfig::empty();
        compile_message(&payer, &all, &[], blockhash, version, config)
            .expect("the instructions fit a message")
            .serialize()
    }

    /// The signed transaction, in a buffer of the SDK's pool.
    #[inline]
    pub(crate) fn build(&self, parameters: &SwapParams) -> PooledTxBufGuard {
        let budget = &self.order.budget;
        let transaction = build_transaction(
            &self.payer,
            budget.unit_limit,
            budget.unit_price_micro_lamports,
            &instructions(parameters),
            &[],
            parameters.recent_blockhash,
            None,
            "PumpFun",
            true,
            true,
            &self.tip_account,
            self.tip,
            None,
        );
        let transaction = transaction.expect("the instructions fit a transaction");
        let serialized = serialize_transaction_bincode_sync(&transaction);
        serialized.expect("a transaction serialises").0
    }
}

/// The trait is asynchronous, but building never waits: one poll is all.
#[inline]
fn instructions(parameters: &SwapParams) -> Vec<Instruction> {
    let building = pin!(PumpFunInstructionBuilder.build_buy_instructions(parameters));
    match building.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(built) => built.expect("the parameters are whole"),
        Poll::Pending => unreachable!("building waits for nothing"),
    }
}
