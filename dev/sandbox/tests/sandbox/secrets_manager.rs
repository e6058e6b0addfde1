use aws_sdk_secretsmanager::{
    Client, Config,
    config::{BehaviorVersion, Region, retry::RetryConfig},
    error::ProvideErrorMetadata,
    operation::get_secret_value::GetSecretValueError,
};
use sandbox::Sandbox;
use serde_json::json;

use crate::client::{call, sandbox};

/// The client the functions use.
fn aws(sandbox: &Sandbox) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(aws_credential_types::Credentials::new("key", "secret", None, None, "test"))
        .endpoint_url(sandbox.base_url())
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

#[tokio::test]
async fn the_real_client_reads_current_previous_and_any_version() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let (aws, secrets) = (aws(&sandbox), sandbox.secrets());
    let first = secrets.put("satchel/signing", "one");
    let second = secrets.put("satchel/signing", "two");
    let third = secrets.put("satchel/signing", "three");

    let current = aws.get_secret_value().secret_id("satchel/signing").send().await?;
    assert_eq!(current.secret_string(), Some("three"));
    assert_eq!(current.version_id(), Some(third.as_str()));
    assert_eq!(current.version_stages(), ["AWSCURRENT"]);
    assert_eq!(current.name(), Some("satchel/signing"));
    assert!(current.created_date().is_some_and(|date| date.secs() > 1_700_000_000));

    let ask = || aws.get_secret_value().secret_id(current.arn().unwrap_or_default());
    let previous = ask().version_stage("AWSPREVIOUS").send().await?;
    assert_eq!(previous.version_id(), Some(second.as_str()));
    let oldest = ask().version_id(&first).send().await?;
    assert_eq!((oldest.secret_string(), oldest.version_stages()), (Some("one"), &[][..]));
    let both = ask().version_id(&first).version_stage("AWSCURRENT").send().await;
    assert_eq!(
        both.err().and_then(|e| e.code().map(str::to_owned)).as_deref(),
        Some("InvalidRequestException")
    );
    assert_eq!(secrets.reads("satchel/signing"), 3, "the refused one read nothing");
    assert_eq!(sandbox.calls_to(sandbox::Service::SecretsManager, "/GetSecretValue"), 4);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_real_client_gets_a_typed_not_found() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    sandbox.secrets().put("satchel/audit", "x");
    for ask in [
        aws(&sandbox).get_secret_value().secret_id("satchel/none"),
        aws(&sandbox).get_secret_value().secret_id("satchel/audit").version_stage("AWSPREVIOUS"),
        aws(&sandbox)
            .get_secret_value()
            .secret_id("satchel/audit")
            .version_id("no-such-version-of-that-secret"),
    ] {
        let error = ask.send().await.err();
        let error = error.as_ref().and_then(|e| e.as_service_error());
        assert!(error.is_some_and(GetSecretValueError::is_resource_not_found_exception));
    }
    assert!(sandbox.secrets().remove("satchel/audit"));
    assert!(aws(&sandbox).get_secret_value().secret_id("satchel/audit").send().await.is_err());
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_real_client_creates_puts_describes_lists_and_moves_stages() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let aws = aws(&sandbox);
    let made = aws.create_secret().name("satchel/new").secret_string("one").send().await?;
    let first = made.version_id().unwrap_or_default().to_owned();
    let again = aws.create_secret().name("satchel/new").secret_string("one").send().await;
    assert_eq!(
        again.err().and_then(|e| e.code().map(str::to_owned)).as_deref(),
        Some("ResourceExistsException")
    );

    let put = aws.put_secret_value().secret_id("satchel/new").secret_string("two").send().await?;
    let second = put.version_id().unwrap_or_default().to_owned();
    assert_eq!(sandbox.secrets().get("satchel/new").as_deref(), Some("two"));

    let stages = |about: Option<&std::collections::HashMap<String, Vec<String>>>| {
        let of = |id: &String| about.and_then(|map| map.get(id).cloned()).unwrap_or_default();
        (of(&first), of(&second))
    };
    let (current, previous) = (vec!["AWSCURRENT".to_owned()], vec!["AWSPREVIOUS".to_owned()]);
    let about = aws.describe_secret().secret_id("satchel/new").send().await?;
    assert_eq!(stages(about.version_ids_to_stages()), (previous.clone(), current.clone()));

    let back = || aws.update_secret_version_stage().secret_id("satchel/new").version_stage("AWSCURRENT");
    let unnamed = back().move_to_version_id(&first).send().await;
    assert_eq!(
        unnamed.err().and_then(|e| e.code().map(str::to_owned)).as_deref(),
        Some("InvalidParameterException")
    );
    back().move_to_version_id(&first).remove_from_version_id(&second).send().await?;
    let about = aws.describe_secret().secret_id("satchel/new").send().await?;
    assert_eq!(stages(about.version_ids_to_stages()), (current, previous), "AWSPREVIOUS follows by itself");

    sandbox.secrets().put("satchel/other", "x");
    let page = aws.list_secrets().max_results(1).send().await?;
    assert_eq!(page.secret_list().iter().filter_map(|s| s.name()).collect::<Vec<_>>(), ["satchel/new"]);
    let page =
        aws.list_secrets().max_results(1).next_token(page.next_token().unwrap_or_default()).send().await?;
    assert_eq!(page.secret_list().iter().filter_map(|s| s.name()).collect::<Vec<_>>(), ["satchel/other"]);
    assert_eq!(page.next_token(), None);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_repeated_put_with_one_token_is_one_version() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let aws = aws(&sandbox);
    sandbox.secrets().put("s", "one");
    let put =
        |value| aws.put_secret_value().secret_id("s").client_request_token("token-1").secret_string(value);
    let first = put("two").send().await?;
    assert_eq!(put("two").send().await?.version_id(), first.version_id());
    let other = put("three").send().await;
    assert_eq!(
        other.err().and_then(|e| e.code().map(str::to_owned)).as_deref(),
        Some("ResourceExistsException")
    );
    let versions = sandbox.objects().into_iter().find(|o| o.kind == "secret_version").map(|o| o.created);
    assert_eq!(versions, Some(2));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn errors_are_400_with_type_and_message() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let url = format!("{}/", sandbox.base_url());
    let signed =
        ("Authorization", "AWS4-HMAC-SHA256 Credential=k/20260109/us-east-1/secretsmanager/aws4_request");
    let target = |operation| ("X-Amz-Target", operation);
    let read = target("secretsmanager.GetSecretValue");
    for (headers, body, kind) in [
        (&[read, signed][..], r#"{"SecretId":"none"}"#, "ResourceNotFoundException"),
        (&[read], r#"{"SecretId":"none"}"#, "MissingAuthenticationTokenException"),
        (&[read, ("Authorization", "Bearer x")], "{}", "IncompleteSignatureException"),
        (&[read, signed], "{", "SerializationException"),
        (&[read, signed], r#"{"SecretId":7}"#, "SerializationException"),
        (&[read, signed], "{}", "ValidationException"),
        (&[target("secretsmanager.MakeTea"), signed], "{}", "UnknownOperationException"),
        (&[target("kms.Decrypt"), signed], "{}", "UnknownOperationException"),
    ] {
        let (status, answer) = call("POST", &url, headers, body).await?;
        assert_eq!((status, &answer["__type"]), (400, &json!(kind)), "{body}");
        assert!(answer["Message"].is_string());
    }
    sandbox.stop().await;
    Ok(())
}
