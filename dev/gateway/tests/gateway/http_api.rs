//! The gateway as its clients see it: routes, events and answers.

use crate::world::World;
use gateway::GatewayOptions;
use serde_json::json;

fn as_is(_: &mut GatewayOptions) {}

#[tokio::test]
async fn a_request_reaches_its_function_as_an_event_of_format_2() {
    let world = World::start(as_is).await.unwrap();

    let headers = [("Accept", "a"), ("accept", "b"), ("Cookie", "x=1; y=2"), ("user-agent", "test")];
    let reply = world.send("GET", "/v1/things/did%3Akey%2F1?q=1&q=2", &headers, "").await.unwrap();

    assert_eq!(reply.status, 200);
    let event = reply.json();
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "GET /v1/things/{id}");
    assert_eq!(event["pathParameters"], json!({ "id": "did:key/1" }));
    assert_eq!(event["rawQueryString"], "q=1&q=2");
    assert_eq!(event["queryStringParameters"], json!({ "q": "1,2" }));
    assert_eq!(event["headers"]["accept"], "a,b");
    assert_eq!(event["cookies"], json!(["x=1", "y=2"]));
    let context = &event["requestContext"];
    assert_eq!(context["routeKey"], event["routeKey"]);
    assert_eq!((&context["stage"], &context["http"]["method"]), (&json!("$default"), &json!("GET")));
    assert_eq!(context["http"]["sourceIp"], "127.0.0.1");
    assert_eq!(context["http"]["userAgent"], "test");
    assert_eq!(context["http"]["protocol"], "HTTP/1.1");
    assert_eq!(context["requestId"], reply.header("apigw-requestid"));
    assert_eq!(context["domainName"], "127.0.0.1");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    assert!(now - u128::from(context["timeEpoch"].as_u64().unwrap()) < 60_000);
    assert!(event.get("body").is_none());
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 2);
}

#[tokio::test]
async fn an_unknown_path_or_method_goes_to_the_default_route() {
    let world = World::start(as_is).await.unwrap();
    for (method, path) in
        [("GET", "/nowhere"), ("DELETE", "/v1/things/1"), ("GET", "/v1/things/"), ("GET", "/")]
    {
        let event = world.send(method, path, &[], "").await.unwrap().json();
        assert_eq!(event["routeKey"], "$default", "{method} {path}");
        assert_eq!(event["requestContext"]["http"]["path"], path);
        assert!(event.get("pathParameters").is_none());
    }
}

#[tokio::test]
async fn without_a_default_route_an_unknown_path_is_the_gateways_own_404() {
    let world = World::start(|options| {
        options.template.functions.retain(|function| function.name != "unknown_route");
    });
    let reply = world.await.unwrap().get("/nowhere").await.unwrap();
    assert_eq!((reply.status, reply.json()), (404, json!({ "message": "Not Found" })));
}

#[tokio::test]
async fn text_is_sent_as_text_and_bytes_as_base64_both_ways() {
    let world = World::start(as_is).await.unwrap();
    let post = async |kind: &'static str, body: &'static [u8]| {
        world.send("POST", "/v1/things", &[("content-type", kind)], body).await
    };

    let event = post("application/json", br#"{"a":"\u00e9"}"#).await.unwrap().json();
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!(r#"{"a":"\u00e9"}"#), &json!(false)));
    let event = post("application/octet-stream", b"\x00\x01\xff").await.unwrap().json();
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("AAH/"), &json!(true)));

    let reply = world.get("/nowhere?PROBE=binary").await.unwrap();
    assert_eq!(&reply.body[..], b"\x00\x01\xff");
}

#[tokio::test]
async fn an_answer_without_a_status_is_the_body() {
    let world = World::start(as_is).await.unwrap();
    let reply = world.get("/nowhere?PROBE=bare").await.unwrap();
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    assert_eq!(reply.json(), json!({ "bare": true }));
}

#[tokio::test]
async fn a_body_over_ten_megabytes_is_refused_in_the_gateways_own_form() {
    let world = World::start(as_is).await.unwrap();
    let reply = world.send("POST", "/v1/things", &[], vec![b'x'; 10 * 1024 * 1024 + 1]).await.unwrap();
    assert_eq!((reply.status, reply.json()), (413, json!({ "message": "Request Entity Too Large" })));
}

#[tokio::test]
async fn a_header_names_the_source_only_when_an_option_says_so() {
    let headers = [("x-play-address", "203.0.113.7")];
    let source = async |world: World| {
        let event = world.send("GET", "/v1/things/1", &headers, "").await.unwrap().json();
        event["requestContext"]["http"]["sourceIp"].as_str().unwrap().to_owned()
    };
    assert_eq!(source(World::start(as_is).await.unwrap()).await, "127.0.0.1");
    let playing = World::start(|options| options.source_ip_from_header = Some("x-play-address".to_owned()));
    assert_eq!(source(playing.await.unwrap()).await, "203.0.113.7");
}

#[tokio::test]
async fn a_preflight_is_answered_by_the_gateway_and_other_answers_carry_the_origin() {
    let world = World::start(as_is).await.unwrap();
    let preflight = [("origin", "https://b.test"), ("access-control-request-method", "POST")];
    let reply = world.send("OPTIONS", "/v1/things", &preflight, "").await.unwrap();
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, "https://b.test"));
    assert_eq!(reply.header("access-control-allow-methods"), "GET,POST");
    assert_eq!(reply.header("access-control-max-age"), "600");

    let reply = world.send("GET", "/v1/things/1", &[("origin", "https://a.test")], "").await.unwrap();
    assert_eq!(reply.header("access-control-allow-origin"), "https://a.test");
    let reply = world.send("GET", "/v1/things/1", &[("origin", "https://evil.test")], "").await.unwrap();
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, ""));
}

#[tokio::test]
async fn a_function_is_invoked_directly_with_the_raw_event() {
    let world = World::start(as_is).await.unwrap();
    let invoke = |name: &str, body: &'static str| {
        let path = format!("/2015-03-31/functions/{name}/invocations");
        let world = &world;
        async move { world.send("POST", &path, &[], body).await.unwrap() }
    };

    let reply = invoke("clean_up", r#"{"PROBE":"bare"}"#).await;
    assert_eq!((reply.status, reply.json()), (200, json!({ "bare": true })));

    let reply = invoke("clean_up", r#"{"PROBE":"error"}"#).await;
    assert_eq!((reply.status, reply.header("x-amz-function-error")), (500, "Unhandled"));
    assert_eq!(reply.json()["errorMessage"], "as told");
    assert!(reply.json()["errorType"].is_string());

    let reply = invoke("clean_up", r#"{"PROBE":"exit"}"#).await;
    assert_eq!(reply.json()["errorType"], "Runtime.ExitError");

    let reply = invoke("nobody", "{}").await;
    assert_eq!((reply.status, &reply.json()["errorType"]), (404, &json!("ResourceNotFoundException")));
}
