use sandbox::lnd::NodeOptions;
use serde_json::json;

use crate::client::{call, sandbox};

#[tokio::test]
async fn another_process_makes_a_node_and_uses_it() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let nodes = format!("{}/sandbox/nodes", sandbox.base_url());
    let (status, node) = call("POST", &nodes, &[], r#"{"name":"demo"}"#).await?;
    assert_eq!(status, 201);
    let field = |name: &str| node[name].as_str().unwrap_or_default().to_owned();
    let (info, header) = (format!("{}/v1/getinfo", field("base_url")), "Grpc-Metadata-macaroon");
    for macaroon in ["admin_macaroon", "invoice_macaroon"] {
        let (status, answer) = call("GET", &info, &[(header, &field(macaroon))], "").await?;
        assert_eq!((status, &answer["identity_pubkey"]), (200, &node["pubkey"]), "{macaroon}");
    }
    assert_eq!(call("POST", &nodes, &[], r#"{"name":"demo"}"#).await?.0, 409);
    assert_eq!(call("GET", &format!("{nodes}/demo"), &[], "").await?, (200, node.clone()));
    assert_eq!(call("GET", &nodes, &[], "").await?, (200, json!({"nodes": [node]})));
    let (_, seen) = call("GET", &format!("{}/sandbox/calls", sandbox.base_url()), &[], "").await?;
    let expected = json!([{"service": "lnd", "method": "GET", "path": "/demo/v1/getinfo", "count": 2}]);
    assert_eq!(seen["calls"], expected, "the control's own calls are not counted");
    let objects = json!([{"service": "lnd", "kind": "node", "created": 1, "deleted": 0}]);
    assert_eq!(seen["objects"], objects);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn another_process_scripts_and_clears_faults() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let (faults, state) =
        (format!("{}/sandbox/faults", sandbox.base_url()), format!("{}/v1/state", node.base_url));
    let fault = json!({
        "route": {"service": "lnd", "method": "GET", "path": "/node12/v1/state"},
        "when": {"times": 1},
        "misbehave": {"fail_before": {"status": 503, "body": "{}"}},
    });
    assert_eq!(call("POST", &faults, &[], &fault.to_string()).await?, (201, fault.clone()));
    assert_eq!(call("GET", &faults, &[], "").await?, (200, json!({"faults": [fault]})));
    assert_eq!(call("GET", &state, &[], "").await?.0, 503);
    assert_eq!(call("GET", &state, &[], "").await?.0, 200);
    assert_eq!(
        call("POST", &faults, &[], r#"{"misbehave":{"fail_before":{"status":500,"body":"{}"}}}"#).await?.0,
        201
    );
    assert_eq!(call("GET", &state, &[], "").await?.0, 500);
    assert_eq!(call("DELETE", &faults, &[], "").await?.0, 204);
    assert_eq!(call("GET", &state, &[], "").await?.0, 200);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_the_control_cannot_do_it_says() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    for (method, path, body, expected) in [
        ("POST", "/sandbox/nodes", "{", 400),
        ("POST", "/sandbox/nodes", r#"{"name":"Node 12"}"#, 400),
        ("POST", "/sandbox/nodes", r#"{"name":"sandbox"}"#, 400),
        ("POST", "/sandbox/nodes", r#"{"name":"x","secret_key":"00"}"#, 400),
        ("POST", "/sandbox/nodes", r#"{"name":"x","colour":"red"}"#, 400),
        ("GET", "/sandbox/nodes/none", "", 404),
        ("POST", "/sandbox/faults", r#"{"misbehave":"sulk"}"#, 400),
        ("POST", "/sandbox/faults", r#"{"misbehave":"garbage","when":{"probability":2}}"#, 400),
        ("PUT", "/sandbox/nodes", "", 405),
        ("GET", "/sandbox/weather", "", 404),
        ("GET", "/sandbox", "", 404),
    ] {
        let (status, answer) = call(method, &format!("{}{path}", sandbox.base_url()), &[], body).await?;
        assert_eq!(status, expected, "{method} {path} {body}");
        assert!(answer["error"].is_string());
    }
    sandbox.stop().await;
    Ok(())
}
