use sandbox::{
    Sandbox,
    btcpay::{Btcpay, DEFAULT_KEY},
    lnd::{Node, NodeOptions},
};
use serde_json::{Value, json};

use crate::client::{call, sandbox};

pub struct Api {
    base: String,
    key: String,
}

impl Api {
    pub fn new(sandbox: &Sandbox) -> Self {
        Self { base: format!("{}/api/v1", sandbox.btcpay().base_url()), key: DEFAULT_KEY.to_owned() }
    }

    pub fn with_key(&self, key: &str) -> Self {
        Self { base: self.base.clone(), key: key.to_owned() }
    }

    pub async fn ask(&self, method: &str, path: &str, body: Value) -> anyhow::Result<(u16, Value)> {
        let authorization = format!("token {}", self.key);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        call(method, &format!("{}{path}", self.base), &[("Authorization", &authorization)], &body).await
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        self.ask("GET", path, Value::Null).await
    }

    pub async fn new_store(&self, name: &str) -> anyhow::Result<String> {
        let (status, store) = self.ask("POST", "/stores", json!({"name": name})).await?;
        assert_eq!(status, 200, "{store}");
        Ok(store["id"].as_str().unwrap_or_default().to_owned())
    }

    /// A store connected to this node by its invoice macaroon.
    pub async fn connected_store(&self, node: &Node) -> anyhow::Result<String> {
        let store = self.new_store("alice").await?;
        let path = format!("/stores/{store}/payment-methods/BTC-LN");
        let (status, answer) = self.ask("PUT", &path, method(node, &node.invoice_macaroon)).await?;
        assert_eq!(status, 200, "{answer}");
        Ok(store)
    }
}

fn method(node: &Node, macaroon: &str) -> Value {
    let base = &node.base_url;
    let text = format!("type=lnd-rest;server={base}/;macaroon={macaroon};allowinsecure=true");
    json!({"enabled": true, "config": {"connectionString": text}})
}

pub async fn world() -> anyhow::Result<(Sandbox, Btcpay, Api)> {
    let sandbox = sandbox().await?;
    let (btcpay, api) = (sandbox.btcpay(), Api::new(&sandbox));
    Ok((sandbox, btcpay, api))
}

pub fn made(sandbox: &Sandbox, kind: &str) -> (u64, u64) {
    let of_kind = |o: &&sandbox::Objects| o.service == sandbox::Service::Btcpay && o.kind == kind;
    sandbox.objects().iter().find(of_kind).map_or((0, 0), |o| (o.created, o.deleted))
}

#[tokio::test]
async fn a_store_is_made_found_changed_and_removed() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let new = json!({"name": "alice", "website": "https://app.example/#marker", "defaultCurrency": "BTC"});
    let (status, store) = api.ask("POST", "/stores", new).await?;
    assert_eq!(status, 200);
    let id = store["id"].as_str().unwrap_or_default();
    assert_eq!(bs58::decode(id).into_vec().map(|bytes| bytes.len()), Ok(32), "{id}");
    assert_eq!((&store["name"], &store["defaultCurrency"]), (&json!("alice"), &json!("BTC")));
    assert_eq!((&store["invoiceExpiration"], &store["speedPolicy"]), (&json!(900), &json!("MediumSpeed")));
    assert_eq!(store.as_object().map(serde_json::Map::len), Some(39), "every member of a store");
    assert_eq!(api.get("/stores").await?, (200, json!([store])));
    let path = format!("/stores/{id}");
    assert_eq!(api.get(&path).await?, (200, store.clone()));
    let (status, changed) = api.ask("PUT", &path, json!({"name": "alice & co", "archived": true})).await?;
    assert_eq!((status, &changed["name"], &changed["id"]), (200, &json!("alice & co"), &json!(id)));
    assert_eq!(
        (&changed["website"], &changed["defaultCurrency"]),
        (&Value::Null, &json!("USD")),
        "as it says"
    );
    assert_eq!(api.get("/stores").await?.1, json!([changed]), "the list is never old");
    assert_eq!(btcpay.stores().iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["alice & co"]);
    assert_eq!(api.ask("DELETE", &path, Value::Null).await?, (200, Value::Null));
    assert_eq!(api.get("/stores").await?, (200, json!([])));
    assert_eq!(made(&sandbox, "store"), (1, 1));
    for method in ["GET", "DELETE"] {
        let (status, answer) = api.ask(method, &path, Value::Null).await?;
        assert_eq!((status, &answer["code"]), (403, &json!("missing-permission")), "gone is not ours");
    }
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn names_are_checked_and_need_not_differ() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    for (body, place) in [
        (json!({}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": "x".repeat(51)}), "name"),
        (json!({"name": 7}), "name"),
        (json!({"name": "x", "website": "app.example"}), "website"),
        (json!({"name": "x", "invoiceExpiration": 59}), "invoiceExpiration"),
        (json!({"name": "x", "speedPolicy": "Warp"}), "speedPolicy"),
        (json!([]), ""),
    ] {
        let (status, problems) = api.ask("POST", "/stores", body.clone()).await?;
        assert_eq!((status, &problems[0]["path"]), (422, &json!(place)), "{body}");
        assert!(problems[0]["message"].is_string());
    }
    assert_eq!(btcpay.stores(), []);
    let first = api.new_store(&"x".repeat(50)).await?;
    assert_ne!(first, api.new_store(&"x".repeat(50)).await?);
    btcpay.set_store_quota(Some(2));
    let (status, refusal) = api.ask("POST", "/stores", json!({"name": "third"})).await?;
    assert_eq!((status, &refusal["code"]), (403, &json!("store-limit-reached")));
    api.ask("DELETE", &format!("/stores/{first}"), Value::Null).await?;
    api.new_store("third").await?;
    assert_eq!(made(&sandbox, "store"), (3, 1));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_key_opens_what_it_says_and_no_more() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let (mine, other) = (api.new_store("mine").await?, api.new_store("other").await?);
    btcpay.add_admin_key("admin", &["unrestricted"])?;
    let admin = api.with_key("admin");
    let permission = format!("btcpay.store.cancreateinvoice:{mine}");
    let (status, user) = admin.ask("POST", "/users", json!({"email": "bob@x.example"})).await?;
    assert_eq!((status, &user["email"], &user["roles"]), (201, &json!("bob@x.example"), &json!([])));
    let wanted = json!({"label": "shop", "permissions": [permission]});
    let (status, key) = admin.ask("POST", "/users/merchant%40sandbox.test/api-keys", wanted).await?;
    assert_eq!((status, &key["permissions"]), (200, &json!([permission])));
    let secret = key["apiKey"].as_str().unwrap_or_default().to_owned();
    let narrow = api.with_key(&secret);
    assert_eq!(narrow.get("/api-keys/current").await?, (200, key));
    let invoice = json!({"amount": "1", "currency": "SATS"});
    let code = |answer: (u16, Value)| (answer.0, answer.1["missingPermission"].as_str().map(str::to_owned));
    let here = narrow.ask("POST", &format!("/stores/{mine}/invoices"), invoice.clone()).await?;
    assert_eq!((here.0, &here.1["code"]), (400, &json!("generic-error")), "allowed, but no node yet");
    let elsewhere = narrow.ask("POST", &format!("/stores/{other}/invoices"), invoice).await?;
    assert_eq!(code(elsewhere), (403, Some("btcpay.store.cancreateinvoice".into())));
    let lightning = json!({"amount": "1000", "expiry": 60});
    let direct = narrow.ask("POST", &format!("/stores/{mine}/lightning/BTC/invoices"), lightning).await?;
    assert_eq!(code(direct), (403, Some("btcpay.store.cancreatelightninginvoice".into())));
    let list = narrow.get("/stores").await?;
    assert_eq!(code(list), (403, Some("btcpay.store.canviewstoresettings".into())));
    btcpay.add_key("viewer", &[&format!("btcpay.store.canviewstoresettings:{other}")])?;
    let (_, seen) = api.with_key("viewer").get("/stores").await?;
    assert_eq!((seen[0]["id"].as_str(), seen.as_array().map(Vec::len)), (Some(other.as_str()), Some(1)));
    btcpay.add_key("scoped", &[&format!("btcpay.store.canmodifystoresettings:{other}")])?;
    let created = api.with_key("scoped").ask("POST", "/stores", json!({"name": "x"})).await?;
    assert_eq!(created.0, 403, "a key for one store makes none");
    for (method, path) in [("POST", "/users"), ("POST", "/users/x/api-keys"), ("DELETE", "/api-keys/x")] {
        assert_eq!(api.ask(method, path, json!({})).await?.0, 403, "{method} {path}");
    }
    let (status, _) = admin.get(&format!("/stores/{mine}")).await?;
    assert_eq!(status, 403, "another user's store");
    assert_eq!(made(&sandbox, "api_key"), (1, 0));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_revoked_or_missing_key_opens_nothing() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let health = format!("{}/api/v1/health", btcpay.base_url());
    assert_eq!(call("GET", &health, &[], "").await?, (200, json!({"synchronized": true})));
    for (header, status) in
        [("token nobody", 401), ("Bearer sandbox-btcpay-key", 401), ("token sandbox-btcpay-key", 200)]
    {
        let url = format!("{}/api/v1/stores", btcpay.base_url());
        assert_eq!(call("GET", &url, &[("Authorization", header)], "").await?.0, status, "{header}");
    }
    btcpay.add_key("short-lived", &["unrestricted"])?;
    let mine = api.with_key("short-lived");
    assert_eq!(mine.ask("DELETE", "/api-keys/current", Value::Null).await?.0, 200);
    assert_eq!(mine.get("/stores").await?.0, 401);
    assert!(btcpay.revoke_key(DEFAULT_KEY) && !btcpay.revoke_key(DEFAULT_KEY));
    let (status, refusal) = api.get("/stores").await?;
    assert_eq!((status, &refusal["code"]), (401, &json!("unauthenticated")));
    btcpay.add_key(DEFAULT_KEY, &["btcpay.store.canviewstoresettings"])?;
    assert_eq!(api.get("/stores").await?.0, 200, "a new key may bear an old name");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_store_is_connected_to_a_node_only_by_a_macaroon_the_node_takes() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let other = sandbox.nodes().create("node13", NodeOptions::default())?;
    let store = api.new_store("alice").await?;
    let path = format!("/stores/{store}/payment-methods/BTC-LN");
    assert_eq!(api.get(&path).await?.0, 404);
    let (status, problems) = api.ask("PUT", &path, method(&node, &other.invoice_macaroon)).await?;
    assert_eq!((status, &problems[0]["path"]), (422, &json!("connectionString")), "{problems}");
    let narrow = node.bake(&[("invoices", "write")])?;
    assert_eq!(api.ask("PUT", &path, method(&node, &narrow)).await?.0, 200, "it need not read information");
    let wanted = method(&node, &node.invoice_macaroon);
    for _ in 0..2 {
        let (status, answer) = api.ask("PUT", &path, wanted.clone()).await?;
        assert_eq!((status, &answer["config"]), (200, &wanted["config"]), "again is the same");
    }
    let hidden = json!({"enabled": true, "paymentMethodId": "BTC-LN", "config": null});
    assert_eq!(api.get(&path).await?, (200, hidden.clone()));
    let list = format!("/stores/{store}/payment-methods");
    assert_eq!(api.get(&list).await?, (200, json!([hidden])));
    let (_, shown) = api.get(&format!("{list}?includeConfig=true")).await?;
    assert_eq!(shown[0]["config"], wanted["config"]);
    btcpay.add_key("viewer", &["btcpay.store.canviewstoresettings"])?;
    let viewer = api.with_key("viewer");
    assert_eq!(viewer.get(&list).await?.0, 200);
    assert_eq!(viewer.get(&format!("{list}?includeConfig=true")).await?.0, 403);
    let kept = btcpay.store(&store).and_then(|store| store.payment_method);
    let text = kept.map(|kept| kept.connection_string).unwrap_or_default();
    assert_eq!(wanted["config"]["connectionString"], text);
    node.revoke_root_key(0);
    let bare = json!({"config": text.replace("/;", ";")});
    assert_eq!(api.ask("PUT", &path, bare).await?.0, 422, "the node was asked again");
    assert_eq!(api.ask("DELETE", &path, Value::Null).await?.0, 200);
    assert_eq!(api.get(&list).await?, (200, json!([])));
    assert_eq!(node.total_calls(), 0, "what services ask each other is not counted");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_connection_string_is_followed_only_where_it_is_safe() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let store = api.new_store("alice").await?;
    let path = format!("/stores/{store}/payment-methods/BTC-LN");
    let far = "type=lnd-rest;server=https://node.example:8080/;macaroon=00ff";
    for (text, expected) in [
        (far, 200),
        ("type=lnd-rest;server=https://10.0.0.7:8080/;macaroon=00ff", 422),
        ("type=lnd-rest;server=http://node.example/;macaroon=00ff", 422),
        ("type=lnd-rest;server=https://node.example/;macaroonfilepath=/x.macaroon", 422),
        ("Internal Node", 403),
    ] {
        let (status, answer) = api.ask("PUT", &path, json!({"config": text})).await?;
        assert_eq!(status, expected, "{text}: {answer}");
    }
    btcpay.set_loopback_allowed(false);
    let near = method(&node, &node.invoice_macaroon);
    assert_eq!(api.ask("PUT", &path, near.clone()).await?.0, 422);
    btcpay.set_loopback_allowed(true);
    assert_eq!(api.ask("PUT", &path, near.clone()).await?.0, 200);
    sandbox.faults().away(sandbox::Service::Lnd);
    assert_eq!(api.ask("PUT", &path, near).await?.0, 200, "nothing changed, so nothing to try");
    let again = format!("{far};allowinsecure=true");
    assert_eq!(api.ask("PUT", &path, json!({"config": again})).await?.0, 200);
    assert_eq!(api.ask("PUT", &path, method(&node, &node.invoice_macaroon)).await?.0, 422, "nobody answers");
    sandbox.faults().back(sandbox::Service::Lnd);
    let secure = |thumbprint: &str| {
        let base = sandbox.tls().base_url().to_owned();
        let macaroon = &node.invoice_macaroon;
        json!({"config": format!("type=lnd-rest;server={base}/node12/;macaroon={macaroon}{thumbprint}")})
    };
    let thumbprint = data_encoding::HEXUPPER.encode(&sandbox.tls().certificate_sha256());
    assert_eq!(api.ask("PUT", &path, secure("")).await?.0, 422, "nobody vouches for the certificate");
    assert_eq!(api.ask("PUT", &path, secure(&format!(";certthumbprint={}", "00".repeat(32)))).await?.0, 422);
    assert_eq!(api.ask("PUT", &path, secure(&format!(";certthumbprint={thumbprint}"))).await?.0, 200);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn ten_thousand_stores_are_made_and_listed_quickly() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let started = std::time::Instant::now();
    for n in 0..10_000 {
        btcpay.add_store(&format!("store {n}"), Some("https://app.example/#m"))?;
    }
    assert!(started.elapsed().as_secs() < 20, "made in {:?}", started.elapsed());
    let mut slowest = std::time::Duration::ZERO;
    for n in 0..5 {
        let started = std::time::Instant::now();
        api.new_store("one more").await?;
        slowest = slowest.max(started.elapsed());
        let (_, list) = api.get("/stores").await?;
        assert_eq!(list.as_array().map(Vec::len), Some(10_001 + n));
    }
    assert!(slowest.as_secs() < 2, "one more took {slowest:?}");
    assert_eq!(made(&sandbox, "store"), (10_005, 0));
    sandbox.stop().await;
    Ok(())
}
