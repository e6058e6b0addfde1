//! The methods: which paths there are, what each asks of a macaroon, what each does.

use data_encoding::HEXLOWER;
use hyper::{Method, Request, StatusCode, body::Bytes, header::HeaderValue};
use serde_json::{Value, json};

use super::{
    errors::{Code, LndError},
    macaroon::{Need, authorise},
    proto_json::Fields,
    sign,
    state::NodesState,
};
use crate::{Service, clock, counts::Counts, reply::Reply, seed::Seed};

const MACAROON_HEADER: &str = "grpc-metadata-macaroon";

const ENTITIES: [&str; 10] =
    ["onchain", "offchain", "address", "message", "peers", "info", "invoices", "signer", "macaroon", "uri"];
const ACTIONS: [&str; 3] = ["read", "write", "generate"];

/// Methods a `uri` permission may name: those played here, and those Satchel's macaroons are baked for.
const URIS: [&str; 8] = [
    "/lnrpc.Lightning/GetInfo",
    "/lnrpc.Lightning/SignMessage",
    "/lnrpc.Lightning/VerifyMessage",
    "/lnrpc.Lightning/BakeMacaroon",
    "/lnrpc.Lightning/DeleteMacaroonID",
    "/lnrpc.Lightning/AddInvoice",
    "/lnrpc.Lightning/LookupInvoice",
    "/invoicesrpc.Invoices/CancelInvoice",
];

enum Rpc<'a> {
    State,
    WalletUnlocker,
    GetInfo,
    SignMessage,
    VerifyMessage,
    BakeMacaroon,
    DeleteMacaroonId(&'a str),
}

impl<'a> Rpc<'a> {
    /// Exact method and path, as grpc-gateway has it: no trailing slash, no HEAD.
    fn find(method: &Method, path: &'a str) -> Result<Self, LndError> {
        let (expected, rpc) = match path {
            "/v1/state" => (Method::GET, Self::State),
            "/v1/genseed" => (Method::GET, Self::WalletUnlocker),
            "/v1/initwallet" | "/v1/unlockwallet" | "/v1/changepassword" => {
                (Method::POST, Self::WalletUnlocker)
            }
            "/v1/getinfo" => (Method::GET, Self::GetInfo),
            "/v1/signmessage" => (Method::POST, Self::SignMessage),
            "/v1/verifymessage" => (Method::POST, Self::VerifyMessage),
            "/v1/macaroon" => (Method::POST, Self::BakeMacaroon),
            _ => match path.strip_prefix("/v1/macaroon/") {
                Some(id) if !id.is_empty() && !id.contains('/') => {
                    (Method::DELETE, Self::DeleteMacaroonId(id))
                }
                _ => return Err(LndError::not_found()),
            },
        };
        if *method == expected { Ok(rpc) } else { Err(LndError::method_not_allowed()) }
    }

    /// `None` for what LND serves without a macaroon.
    fn need(&self) -> Option<Need> {
        let need = |entity, action, uri| Some(Need { entity, action, uri });
        match self {
            Self::State | Self::WalletUnlocker => None,
            Self::GetInfo => need("info", "read", "/lnrpc.Lightning/GetInfo"),
            Self::SignMessage => need("message", "write", "/lnrpc.Lightning/SignMessage"),
            Self::VerifyMessage => need("message", "read", "/lnrpc.Lightning/VerifyMessage"),
            Self::BakeMacaroon => need("macaroon", "generate", "/lnrpc.Lightning/BakeMacaroon"),
            Self::DeleteMacaroonId(_) => need("macaroon", "write", "/lnrpc.Lightning/DeleteMacaroonID"),
        }
    }
}

pub(crate) fn answer(
    nodes: &mut NodesState,
    counts: &mut Counts,
    seed: Seed,
    name: &str,
    path: &str,
    request: &Request<Bytes>,
) -> Result<Reply, LndError> {
    let rpc = Rpc::find(request.method(), path)?;
    let node = nodes.get(name).ok_or_else(LndError::not_found)?;
    if let Some(need) = rpc.need() {
        // LND looks at the state of the wallet before it looks at the macaroon.
        if !node.initialised {
            return Err(LndError::unknown("wallet not created, create one to enable full RPC access"));
        }
        let headers: Vec<&[u8]> =
            request.headers().get_all(MACAROON_HEADER).iter().map(HeaderValue::as_bytes).collect();
        authorise(node, &headers, need)?;
    }
    let body = match rpc {
        Rpc::State => json!({"state": if node.initialised { "SERVER_ACTIVE" } else { "NON_EXISTING" }}),
        Rpc::WalletUnlocker => {
            return Err(if node.initialised {
                LndError::unknown("wallet already unlocked, WalletUnlocker service is no longer available")
            } else {
                LndError { code: Code::Unimplemented, message: "the sandbox makes no wallets yet".into() }
            });
        }
        Rpc::GetInfo => get_info(name, &node.pubkey().to_string()),
        Rpc::SignMessage => {
            let fields = Fields::parse(request.body(), &["msg", "single_hash"])?;
            let (msg, single_hash) = (fields.bytes("msg")?, fields.bool("single_hash")?);
            if msg.is_empty() {
                return Err(LndError::unknown("need a message to sign"));
            }
            json!({"signature": sign::sign(&node.secret_key, &msg, single_hash)})
        }
        Rpc::VerifyMessage => verify_message(nodes, name, request.body())?,
        Rpc::BakeMacaroon => {
            let (ops, root_key_id) = bake_request(request.body())?;
            let baked = nodes.get_mut(name).and_then(|node| node.bake(ops, root_key_id, seed));
            counts.created(Service::Lnd, "macaroon");
            json!({"macaroon": HEXLOWER.encode(&baked.unwrap_or_default())})
        }
        Rpc::DeleteMacaroonId(id) => {
            let wrong =
                |_| LndError::invalid(format!("type mismatch, parameter: root_key_id, error: {id:?}"));
            let id: u64 = id.parse().map_err(wrong)?;
            if id == 0 {
                return Err(LndError::unknown("deletion of the default root key ID 0 is not allowed"));
            }
            let deleted = nodes.get_mut(name).is_some_and(|node| node.revoke(id));
            json!({ "deleted": deleted })
        }
    };
    Ok(Reply::json(StatusCode::OK, &body))
}

fn get_info(alias: &str, pubkey: &str) -> Value {
    let feature =
        |name: &str, is_required| json!({"name": name, "is_required": is_required, "is_known": true});
    json!({
        "version": "0.20.3-beta commit=v0.20.3-beta",
        "commit_hash": "0000000000000000000000000000000000000000",
        "identity_pubkey": pubkey,
        "alias": alias,
        "color": "#3399ff",
        "num_pending_channels": 0,
        "num_active_channels": 0,
        "num_inactive_channels": 0,
        "num_peers": 0,
        "block_height": 1,
        "block_hash": "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
        // 64-bit numbers are strings in LND's JSON.
        "best_header_timestamp": clock::now().unix_timestamp().to_string(),
        "synced_to_chain": true,
        "synced_to_graph": false,
        "testnet": false,
        "chains": [{"chain": "bitcoin", "network": "regtest"}],
        "uris": [],
        "features": {"0": feature("data-loss-protect", true), "5": feature("upfront-shutdown-script", false)},
        "require_htlc_interceptor": false,
        "store_final_htlc_resolutions": false,
    })
}

/// LND's `valid` means that the recovered key is in the node's graph, not that it is the key you expect.
fn verify_message(nodes: &NodesState, name: &str, body: &[u8]) -> Result<Value, LndError> {
    let fields = Fields::parse(body, &["msg", "signature"])?;
    let (msg, signature) = (fields.bytes("msg")?, fields.string("signature")?);
    if msg.is_empty() {
        return Err(LndError::unknown("need a message to verify"));
    }
    let signature = sign::zbase32_decode(&signature).map_err(|at| {
        LndError::unknown(format!("failed to decode signature: illegal z-base-32 data at input byte {at}"))
    })?;
    Ok(match sign::recover(&msg, &signature) {
        None => json!({"valid": false, "pubkey": ""}),
        Some(pubkey) => json!({"valid": nodes.graph_of(name, &pubkey), "pubkey": pubkey.to_string()}),
    })
}

fn bake_request(body: &[u8]) -> Result<(Vec<(String, String)>, u64), LndError> {
    let fields = Fields::parse(body, &["permissions", "root_key_id", "allow_external_permissions"])?;
    let ops = fields.pairs("permissions", ["entity", "action"])?;
    let (root_key_id, external) = (fields.uint64("root_key_id")?, fields.bool("allow_external_permissions")?);
    let help = format!(
        "supported actions are [{}], supported entities are [{}]",
        ACTIONS.join(" "),
        ENTITIES.join(" ")
    );
    if ops.is_empty() {
        let message = "permission list cannot be empty. specify at least one action/entity pair";
        return Err(LndError::unknown(format!("{message}. {help}")));
    }
    for (entity, action) in &ops {
        let (entity, action) = (entity.as_str(), action.as_str());
        if external {
            continue;
        }
        if !ENTITIES.contains(&entity) {
            return Err(LndError::unknown(format!("invalid permission entity. {help}")));
        }
        if entity == "uri" && !URIS.contains(&action) {
            let form = "must be specified in the format /package.Service/MethodName";
            return Err(LndError::unknown(format!("invalid permission action, {form}")));
        }
        if entity != "uri" && !ACTIONS.contains(&action) {
            return Err(LndError::unknown(format!("invalid permission action. {help}")));
        }
    }
    Ok((ops, root_key_id))
}
