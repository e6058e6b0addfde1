//! The methods: what each does once it is found and allowed.

use data_encoding::HEXLOWER;
use hyper::{Request, StatusCode, body::Bytes, header::HeaderValue};
use serde_json::{Value, json};

use super::{
    errors::{Code, LndError},
    invoice_methods,
    macaroon::authorise,
    network::Network,
    proto_json::Fields,
    rpc::Rpc,
    sign,
    state::{NodesState, StoredNode},
    wallet,
};
use crate::{Service, clock, counts::Counts, reply::Reply, seed::Seed};

const MACAROON_HEADER: &str = "grpc-metadata-macaroon";

const ENTITIES: [&str; 10] =
    ["onchain", "offchain", "address", "message", "peers", "info", "invoices", "signer", "macaroon", "uri"];
const ACTIONS: [&str; 3] = ["read", "write", "generate"];

/// Methods a `uri` permission may name: those played here, and those Satchel's macaroons are baked for.
const URIS: [&str; 10] = [
    "/lnrpc.Lightning/GetInfo",
    "/lnrpc.Lightning/SignMessage",
    "/lnrpc.Lightning/VerifyMessage",
    "/lnrpc.Lightning/BakeMacaroon",
    "/lnrpc.Lightning/ListMacaroonIDs",
    "/lnrpc.Lightning/DeleteMacaroonID",
    "/lnrpc.Lightning/AddInvoice",
    "/lnrpc.Lightning/LookupInvoice",
    "/lnrpc.Lightning/ListInvoices",
    "/invoicesrpc.Invoices/CancelInvoice",
];

/// `path` stands behind the node's name.
pub(crate) fn answer(
    nodes: &mut NodesState,
    counts: &mut Counts,
    seed: Seed,
    name: &str,
    path: &str,
    request: &Request<Bytes>,
) -> Result<Reply, LndError> {
    let rpc = Rpc::find(request.method(), path)?;
    let node = nodes.get_mut(name).ok_or_else(LndError::not_found)?;
    if !matches!(rpc, Rpc::State) {
        // LND looks at the state of the wallet before it looks at the macaroon.
        node.life.check(rpc.is_unlocker())?;
    }
    if let Some(need) = rpc.need() {
        let headers: Vec<&[u8]> =
            request.headers().get_all(MACAROON_HEADER).iter().map(HeaderValue::as_bytes).collect();
        authorise(node, &headers, need)?;
    }
    let (body, query) = (request.body(), request.uri().query().unwrap_or_default());
    let body = match rpc {
        Rpc::State => json!({"state": node.life.look().name()}),
        Rpc::GenSeed => wallet::gen_seed(node, seed)?,
        Rpc::InitWallet => wallet::init(node, counts, seed, body)?,
        Rpc::UnlockWallet => wallet::unlock(node, body)?,
        Rpc::ChangePassword => {
            let message = "the sandbox changes no passwords".into();
            return Err(LndError { code: Code::Unimplemented, message });
        }
        Rpc::GetInfo => get_info(node),
        Rpc::SignMessage => sign_message(node, body)?,
        Rpc::VerifyMessage => verify_message(nodes, name, body)?,
        Rpc::BakeMacaroon => {
            let (ops, root_key_id) = bake_request(body)?;
            let baked = node.bake(ops, root_key_id, seed).unwrap_or_default();
            counts.created(Service::Lnd, "macaroon");
            json!({"macaroon": HEXLOWER.encode(&baked)})
        }
        Rpc::ListMacaroonIds => {
            let ids: Vec<String> = node.root_key_ids().map(|id| id.to_string()).collect();
            json!({"root_key_ids": ids})
        }
        Rpc::DeleteMacaroonId(id) => delete_macaroon_id(node, id)?,
        Rpc::AddInvoice => invoice_methods::add(node, counts, seed, body)?,
        Rpc::ListInvoices => invoice_methods::list(node, query)?,
        Rpc::LookupInvoice(hash) => invoice_methods::lookup(node, hash)?,
        Rpc::CancelInvoice => invoice_methods::cancel(node, body)?,
    };
    Ok(Reply::json(StatusCode::OK, &body))
}

fn get_info(node: &StoredNode) -> Value {
    let feature =
        |name: &str, is_required| json!({"name": name, "is_required": is_required, "is_known": true});
    json!({
        "version": "0.20.3-beta commit=v0.20.3-beta",
        "commit_hash": "0000000000000000000000000000000000000000",
        "identity_pubkey": node.pubkey().to_string(),
        "alias": node.name,
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
        "testnet": node.network == Network::Testnet,
        "chains": [{"chain": "bitcoin", "network": node.network.name()}],
        "uris": [],
        "features": {"0": feature("data-loss-protect", true), "5": feature("upfront-shutdown-script", false)},
        "require_htlc_interceptor": false,
        "store_final_htlc_resolutions": false,
    })
}

fn sign_message(node: &StoredNode, body: &[u8]) -> Result<Value, LndError> {
    let fields = Fields::parse(body, &["msg", "single_hash"])?;
    let (msg, single_hash) = (fields.bytes("msg")?, fields.bool("single_hash")?);
    if msg.is_empty() {
        return Err(LndError::unknown("need a message to sign"));
    }
    Ok(json!({"signature": sign::sign(&node.secret_key, &msg, single_hash)}))
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

fn delete_macaroon_id(node: &mut StoredNode, id: &str) -> Result<Value, LndError> {
    let wrong = |_| LndError::invalid(format!("type mismatch, parameter: root_key_id, error: {id:?}"));
    let id: u64 = id.parse().map_err(wrong)?;
    if id == 0 {
        return Err(LndError::unknown("deletion of the default root key ID 0 is not allowed"));
    }
    Ok(json!({"deleted": node.revoke(id)}))
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
