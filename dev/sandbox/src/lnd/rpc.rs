//! Which paths there are, and what each method asks of a macaroon.

use hyper::Method;

use super::{errors::LndError, macaroon::Need};

pub(crate) const GET_INFO: Need = need("info", "read", "/lnrpc.Lightning/GetInfo");
pub(crate) const ADD_INVOICE: Need = need("invoices", "write", "/lnrpc.Lightning/AddInvoice");
pub(crate) const LOOKUP_INVOICE: Need = need("invoices", "read", "/lnrpc.Lightning/LookupInvoice");
pub(crate) const LIST_INVOICES: Need = need("invoices", "read", "/lnrpc.Lightning/ListInvoices");
pub(crate) const CANCEL_INVOICE: Need = need("invoices", "write", "/invoicesrpc.Invoices/CancelInvoice");
const SIGN_MESSAGE: Need = need("message", "write", "/lnrpc.Lightning/SignMessage");
const VERIFY_MESSAGE: Need = need("message", "read", "/lnrpc.Lightning/VerifyMessage");
const BAKE_MACAROON: Need = need("macaroon", "generate", "/lnrpc.Lightning/BakeMacaroon");
const LIST_MACAROON_IDS: Need = need("macaroon", "read", "/lnrpc.Lightning/ListMacaroonIDs");
const DELETE_MACAROON_ID: Need = need("macaroon", "write", "/lnrpc.Lightning/DeleteMacaroonID");

const fn need(entity: &'static str, action: &'static str, uri: &'static str) -> Need {
    Need { entity, action, uri }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Rpc<'a> {
    State,
    GenSeed,
    InitWallet,
    UnlockWallet,
    ChangePassword,
    GetInfo,
    SignMessage,
    VerifyMessage,
    BakeMacaroon,
    ListMacaroonIds,
    DeleteMacaroonId(&'a str),
    AddInvoice,
    ListInvoices,
    LookupInvoice(&'a str),
    CancelInvoice,
}

impl<'a> Rpc<'a> {
    /// Exact method and path, as grpc-gateway has it: no trailing slash, no HEAD.
    pub(crate) fn find(method: &Method, path: &'a str) -> Result<Self, LndError> {
        let last =
            |prefix: &str| path.strip_prefix(prefix).filter(|last| !last.is_empty() && !last.contains('/'));
        let (expected, rpc) = match path {
            "/v1/state" => (Method::GET, Self::State),
            "/v1/genseed" => (Method::GET, Self::GenSeed),
            "/v1/initwallet" => (Method::POST, Self::InitWallet),
            "/v1/unlockwallet" => (Method::POST, Self::UnlockWallet),
            "/v1/changepassword" => (Method::POST, Self::ChangePassword),
            "/v1/getinfo" => (Method::GET, Self::GetInfo),
            "/v1/signmessage" => (Method::POST, Self::SignMessage),
            "/v1/verifymessage" => (Method::POST, Self::VerifyMessage),
            "/v1/macaroon" => (Method::POST, Self::BakeMacaroon),
            "/v1/macaroon/ids" => (Method::GET, Self::ListMacaroonIds),
            "/v1/invoices" if *method == Method::POST => (Method::POST, Self::AddInvoice),
            "/v1/invoices" => (Method::GET, Self::ListInvoices),
            "/v2/invoices/cancel" => (Method::POST, Self::CancelInvoice),
            _ => {
                if let Some(id) = last("/v1/macaroon/") {
                    (Method::DELETE, Self::DeleteMacaroonId(id))
                } else if let Some(hash) = last("/v1/invoice/") {
                    (Method::GET, Self::LookupInvoice(hash))
                } else {
                    return Err(LndError::not_found());
                }
            }
        };
        if *method == expected { Ok(rpc) } else { Err(LndError::method_not_allowed()) }
    }

    pub(crate) fn is_unlocker(self) -> bool {
        matches!(self, Self::GenSeed | Self::InitWallet | Self::UnlockWallet | Self::ChangePassword)
    }

    /// `None` for what LND serves without a macaroon.
    pub(crate) fn need(self) -> Option<Need> {
        match self {
            Self::State | Self::GenSeed | Self::InitWallet | Self::UnlockWallet | Self::ChangePassword => {
                None
            }
            Self::GetInfo => Some(GET_INFO),
            Self::SignMessage => Some(SIGN_MESSAGE),
            Self::VerifyMessage => Some(VERIFY_MESSAGE),
            Self::BakeMacaroon => Some(BAKE_MACAROON),
            Self::ListMacaroonIds => Some(LIST_MACAROON_IDS),
            Self::DeleteMacaroonId(_) => Some(DELETE_MACAROON_ID),
            Self::AddInvoice => Some(ADD_INVOICE),
            Self::ListInvoices => Some(LIST_INVOICES),
            Self::LookupInvoice(_) => Some(LOOKUP_INVOICE),
            Self::CancelInvoice => Some(CANCEL_INVOICE),
        }
    }
}
