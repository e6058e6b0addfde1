//! The steps at the node: a wallet only we can open, and a macaroon that can do nothing but invoices.

use std::time::Duration;

use super::SetupError;
use super::keys::{self, Made, Wallet};
use super::node::lnd;
use super::row::Setup;
use super::run::{Progress, Run};
use super::steps::Move;
use crate::lightning::Macaroon;
use crate::lightning::macaroon::{ADMIN_OPS, Op, Verdict, mint};
use crate::lnd::{Lnd, WalletState};
use crate::upstream::{Provider, UpstreamError, code};

/// The root key the wallet is made with; a macaroon under it can do everything, and none leaves the process.
const ADMIN_ROOT_KEY_ID: u64 = 0;
/// The invoice macaroon's own, so that it can be withdrawn alone: this one and the number of the run that bakes it.
/// What an earlier run asked for, carried out late, is then never about the macaroon in use.
const INVOICE_ROOT_KEY_IDS: u64 = 7_000;
/// What BTCPay needs: make, read and cancel invoices, and see that the node is there.
const INVOICE_OPS: [(&str, &str); 4] = [
    ("uri", "/lnrpc.Lightning/GetInfo"),
    ("uri", "/lnrpc.Lightning/AddInvoice"),
    ("uri", "/lnrpc.Lightning/LookupInvoice"),
    ("uri", "/invoicesrpc.Invoices/CancelInvoice"),
];
/// How long a wallet takes to open, at a time.
const OPENING: Duration = Duration::from_millis(500);

/// The same values twice do no harm: LND takes a wallet once, and which one it took `find` tells.
pub(super) async fn init(run: &mut Run<'_>, setup: &Setup) -> Result<Move, SetupError> {
    let saga = run.saga;
    let lnd = lnd(saga, setup)?;
    let Some(keys) = keys::wallet(run, setup).await? else { return Ok(Move::LeaveToResumer) };
    let keys = keys.keys().ok_or(SetupError::Unusable("WALLET_KEYS_MISSING"))?;
    match saga.call(lnd.circuit(), lnd.init_wallet(&keys)).await {
        Err(SetupError::Upstream(error)) if error.code != code::LND_WALLET_EXISTS => return Err(error.into()),
        Ok(()) | Err(SetupError::Upstream(_)) => {}
        Err(error) => return Err(error),
    }
    let found = find(run, setup).await?;
    Ok(found.unwrap_or(Move::Wait { after: OPENING, code: "WALLET_OPENING" }))
}

/// Whose wallet the node has: ours if it honours a macaroon made with our root key.
pub(super) async fn find(run: &mut Run<'_>, setup: &Setup) -> Result<Option<Move>, SetupError> {
    let saga = run.saga;
    let lnd = lnd(saga, setup)?;
    let state = saga.call(lnd.circuit(), lnd.state()).await?;
    let Some(keys) = keys::wallet(run, setup).await? else { return Ok(Some(Move::LeaveToResumer)) };
    match state {
        WalletState::NonExisting => Ok(None),
        WalletState::Locked => unlock(run, &lnd, setup).await.map(Some),
        WalletState::WaitingToStart | WalletState::Unlocked | WalletState::RpcActive => {
            Ok(Some(Move::Wait { after: OPENING, code: "WALLET_OPENING" }))
        }
        WalletState::ServerActive => {
            let admin = admin_macaroon(keys, saga);
            match saga.call(lnd.circuit(), lnd.info(&admin)).await {
                Ok(info) => Ok(Some(Move::Done(Box::new(Progress {
                    node_pubkey: Some(info.pubkey.to_string()),
                    wallet_initialised: true,
                    ..Progress::default()
                })))),
                Err(SetupError::Upstream(error)) if error.code == code::LND_MACAROON_REFUSED => {
                    Ok(Some(Move::StartOver { code: "WALLET_TAKEN" }))
                }
                Err(error) => Err(error),
            }
        }
    }
}

async fn unlock(run: &mut Run<'_>, lnd: &Lnd, setup: &Setup) -> Result<Move, SetupError> {
    let saga = run.saga;
    let Some(keys) = keys::wallet(run, setup).await? else { return Ok(Move::LeaveToResumer) };
    match saga.call(lnd.circuit(), lnd.unlock(&keys.password)).await {
        Ok(()) => Ok(Move::Wait { after: OPENING, code: "WALLET_OPENING" }),
        // Our password does not open it.
        Err(SetupError::Upstream(error))
            if error.code == code::LND_PASSWORD_REFUSED && !setup.wallet_initialised =>
        {
            Ok(Move::StartOver { code: "WALLET_TAKEN" })
        }
        Err(error) => Err(error),
    }
}

fn admin_macaroon(keys: &Wallet, saga: &super::Saga) -> Macaroon {
    mint(keys.root_key.expose(), ADMIN_ROOT_KEY_ID, ADMIN_OPS, saga.random.bytes())
}

fn invoice_root_key_id(setup: &Setup) -> u64 {
    INVOICE_ROOT_KEY_IDS.saturating_add_signed(setup.lease_token)
}

/// Withdraws what earlier attempts baked: nobody knows where their answers went.
pub(super) async fn withdraw(run: &mut Run<'_>, setup: &Setup) -> Result<Option<Move>, SetupError> {
    let saga = run.saga;
    let lnd = lnd(saga, setup)?;
    let Some(keys) = keys::wallet(run, setup).await? else { return Ok(Some(Move::LeaveToResumer)) };
    let admin = admin_macaroon(keys, saga);
    let withdrawn = async {
        for id in lnd.root_key_ids(&admin).await? {
            // Never a later run's, should this one have lost its lease meanwhile.
            if (INVOICE_ROOT_KEY_IDS + 1..invoice_root_key_id(setup)).contains(&id) {
                lnd.revoke(&admin, id).await?;
            }
        }
        Ok(())
    };
    match saga.call(lnd.circuit(), withdrawn).await {
        Err(SetupError::Upstream(error)) if error.code == code::LND_WALLET_LOCKED => {
            unlock(run, &lnd, setup).await.map(Some)
        }
        other => other.map(|()| None),
    }
}

pub(super) async fn bake(run: &mut Run<'_>, setup: &Setup) -> Result<Move, SetupError> {
    let saga = run.saga;
    let lnd = lnd(saga, setup)?;
    let Some(keys) = keys::wallet(run, setup).await? else { return Ok(Move::LeaveToResumer) };
    let admin = admin_macaroon(keys, saga);
    let ops = INVOICE_OPS.map(|(entity, action)| Op { entity: entity.into(), action: action.into() });
    let macaroon = match saga.call(lnd.circuit(), lnd.bake(&admin, &ops, invoice_root_key_id(setup))).await {
        // A node that was restarted under us waits for its password.
        Err(SetupError::Upstream(error)) if error.code == code::LND_WALLET_LOCKED => {
            return unlock(run, &lnd, setup).await;
        }
        other => other?,
    };
    // One that was withdrawn, or is another node's, is found out before BTCPay is given it.
    let good = match saga.call(lnd.circuit(), lnd.info(&macaroon)).await {
        Err(SetupError::Upstream(error)) if error.code == code::LND_MACAROON_REFUSED => false,
        other => Some(other?.pubkey.to_string()) == setup.node_pubkey,
    };
    if !good || macaroon.judge() != Verdict::Narrow {
        return Err(UpstreamError::mistaken_answer(Provider::Lnd).into());
    }
    let made = Made { macaroon: Some(macaroon), ..Made::default() };
    Ok(Move::Done(Box::new(Progress { made, ..Progress::default() })))
}
