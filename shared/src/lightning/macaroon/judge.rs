//! Which macaroons may be kept.

use super::Op;

/// What somebody whose macaroon was refused is told.
pub const HOW_TO_BAKE: &str = "Bake a macaroon that can only make and look up invoices: \
    lncli bakemacaroon uri:/lnrpc.Lightning/GetInfo uri:/lnrpc.Lightning/AddInvoice \
    uri:/lnrpc.Lightning/LookupInvoice uri:/invoicesrpc.Invoices/CancelInvoice";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Invoices and nothing else: may be stored, sealed.
    Narrow,
    /// Allows these operations beside the accepted ones: never stored.
    TooWide(Vec<Op>),
    /// Can sign messages with the node's key, or make a macaroon that can. Whoever holds it could sign in as its
    /// owner, so it is refused whatever the configuration says.
    CanSign,
}

/// Everything a stored macaroon may allow.
const ACCEPTED: &[(&str, &str)] = &[
    ("info", "read"),
    ("invoices", "read"),
    ("invoices", "write"),
    ("uri", "/lnrpc.Lightning/GetInfo"),
    ("uri", "/lnrpc.Lightning/AddInvoice"),
    ("uri", "/lnrpc.Lightning/LookupInvoice"),
    ("uri", "/invoicesrpc.Invoices/CancelInvoice"),
];

/// Operations that sign, or make macaroons that sign (LND `rpcserver.go` and `lnrpc/signrpc`; the last two are
/// Lightning Terminal's `perms/permissions.go`).
const SIGNING: &[(&str, &str)] =
    &[("message", "write"), ("macaroon", "generate"), ("supermacaroon", "write"), ("sessions", "write")];
/// `signrpc` signs what it is given, with any of the node's keys: a digest made to measure is a login.
const SIGNING_ENTITY: &str = "signer";
const SIGNING_SERVICE: &str = "/signrpc.";
/// Methods by how their names begin, whatever their service (`SignMessage`, `SignMessageWithAddr`).
const SIGNING_METHODS: &[&str] = &["SignMessage", "BakeMacaroon", "BakeSuperMacaroon", "AddSession"];

pub(super) fn judge(ops: &[Op]) -> Verdict {
    if ops.iter().any(signs) {
        return Verdict::CanSign;
    }
    let wide: Vec<Op> = ops.iter().filter(|op| !is_accepted(op)).cloned().collect();
    if ops.is_empty() || !wide.is_empty() { Verdict::TooWide(wide) } else { Verdict::Narrow }
}

fn is_accepted(op: &Op) -> bool {
    ACCEPTED.contains(&(op.entity.as_str(), op.action.as_str()))
}

fn signs(op: &Op) -> bool {
    match (op.entity.as_str(), op.action.as_str()) {
        (SIGNING_ENTITY, _) => true,
        ("uri", uri) => {
            let method = uri.rsplit('/').next().unwrap_or(uri);
            uri.starts_with(SIGNING_SERVICE) || SIGNING_METHODS.iter().any(|name| method.starts_with(name))
        }
        other => SIGNING.contains(&other),
    }
}
