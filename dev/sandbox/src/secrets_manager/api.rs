//! The operations, as AWS answers them: JSON 1.1, every error HTTP 400 with `__type` and `Message`.

use std::sync::Arc;

use hyper::{Request, StatusCode, body::Bytes, header::AUTHORIZATION};
use serde_json::{Map, Value, json};

use super::store::{CURRENT, SecretsState, StoredSecret};
use crate::{
    Service, clock,
    counts::Counts,
    reply::Reply,
    seed::Seed,
    world::{World, lock},
};

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const PAGE: usize = 100;

struct Refusal(&'static str, String);
type Answer = Result<Value, Refusal>;

fn refuse<T>(kind: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(kind, message.into()))
}

pub(crate) fn answer(world: &Arc<World>, request: &Request<Bytes>) -> Reply {
    let (status, body) = match dispatch(world, request) {
        Ok(body) => (StatusCode::OK, body),
        Err(Refusal(kind, message)) => (StatusCode::BAD_REQUEST, json!({"__type": kind, "Message": message})),
    };
    Reply { content_type: CONTENT_TYPE, ..Reply::json(status, &body) }
}

fn dispatch(world: &Arc<World>, request: &Request<Bytes>) -> Answer {
    let authorization = request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    let Some(authorization) = authorization else {
        return refuse("MissingAuthenticationTokenException", "Missing Authentication Token");
    };
    if !authorization.starts_with("AWS4-HMAC-SHA256 ")
        || !authorization.contains("/secretsmanager/aws4_request")
    {
        return refuse(
            "IncompleteSignatureException",
            "Authorization header is not a signature for this service",
        );
    }
    let Ok(input) = serde_json::from_slice::<Map<String, Value>>(request.body()) else {
        return refuse("SerializationException", "the body is not a JSON object");
    };
    let mut secrets = lock(&world.secrets);
    let mut counts = lock(&world.counts);
    let mut call = Call { secrets: &mut secrets, counts: &mut counts, seed: world.seed, input: &input };
    let target = request.headers().get("x-amz-target").and_then(|v| v.to_str().ok()).unwrap_or_default();
    match target.strip_prefix(super::PREFIX) {
        Some("GetSecretValue") => call.get_secret_value(),
        Some("PutSecretValue") => call.put_secret_value(),
        Some("CreateSecret") => call.create_secret(),
        Some("DescribeSecret") => call.describe_secret(),
        Some("ListSecrets") => call.list_secrets(),
        Some("UpdateSecretVersionStage") => call.update_secret_version_stage(),
        _ => refuse("UnknownOperationException", target),
    }
}

struct Call<'a> {
    secrets: &'a mut SecretsState,
    counts: &'a mut Counts,
    seed: Seed,
    input: &'a Map<String, Value>,
}

impl<'a> Call<'a> {
    fn text(&self, field: &str) -> Result<Option<&'a str>, Refusal> {
        match self.input.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => refuse("SerializationException", format!("{field} is not a string")),
        }
    }

    fn required(&self, field: &str) -> Result<&'a str, Refusal> {
        match self.text(field)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => refuse("ValidationException", format!("{field} must not be empty")),
        }
    }

    fn secret(&self) -> Result<&StoredSecret, Refusal> {
        self.secrets.find(self.required("SecretId")?).ok_or_else(not_found)
    }

    fn get_secret_value(&mut self) -> Answer {
        let secret = self.secret()?;
        let (id, stage) = (self.text("VersionId")?, self.text("VersionStage")?);
        let missing = |by: &str, value: &str| {
            let message = format!("Secrets Manager can't find the specified secret value for {by}: {value}");
            Refusal("ResourceNotFoundException", message)
        };
        let version = match (id, stage) {
            (Some(id), stage) => {
                let version = secret.version(id).ok_or_else(|| missing("VersionId", id))?;
                if stage.is_some_and(|stage| !version.stages.contains(stage)) {
                    let message =
                        "You provided a VersionStage that is not associated to the provided VersionId.";
                    return refuse("InvalidRequestException", message);
                }
                version
            }
            (None, stage) => {
                let stage = stage.unwrap_or(CURRENT);
                secret.staged(stage).ok_or_else(|| missing("staging label", stage))?
            }
        };
        let body = json!({
            "ARN": secret.arn,
            "Name": secret.name,
            "VersionId": version.id,
            "SecretString": version.value,
            "VersionStages": version.stages,
            "CreatedDate": clock::epoch_seconds(version.created_at),
        });
        let name = secret.name.clone();
        self.secrets.count_read(&name);
        Ok(body)
    }

    fn put_secret_value(&mut self) -> Answer {
        let (secret, value) = (self.secret()?, self.required("SecretString")?);
        let (name, arn) = (secret.name.clone(), secret.arn.clone());
        let token = self.text("ClientRequestToken")?;
        if let Some(known) = token.and_then(|token| secret.version(token)) {
            if known.value != value {
                let message = "You can't modify an existing version, you can only create a new version.";
                return refuse("ResourceExistsException", message);
            }
            let (id, stages) = (&known.id, &known.stages);
            return Ok(json!({"ARN": arn, "Name": name, "VersionId": id, "VersionStages": stages}));
        }
        let id = self.secrets.add_version(&name, value, token, self.seed);
        self.counts.created(Service::SecretsManager, "secret_version");
        Ok(json!({"ARN": arn, "Name": name, "VersionId": id, "VersionStages": [CURRENT]}))
    }

    fn create_secret(&mut self) -> Answer {
        let (name, value) = (self.required("Name")?, self.text("SecretString")?);
        let token = self.text("ClientRequestToken")?;
        if let Some(known) = self.secrets.find(name) {
            // The same request again is the same secret; another one of that name is refused.
            return match token.and_then(|token| known.version(token)) {
                Some(same) if Some(same.value.as_str()) == value => {
                    Ok(json!({"ARN": known.arn, "Name": name, "VersionId": same.id}))
                }
                _ => refuse(
                    "ResourceExistsException",
                    format!("The operation failed because the secret {name} already exists."),
                ),
            };
        }
        self.secrets.create(name, self.seed);
        self.counts.created(Service::SecretsManager, "secret");
        let version = value.map(|value| {
            self.counts.created(Service::SecretsManager, "secret_version");
            self.secrets.add_version(name, value, token, self.seed)
        });
        let arn = self.secrets.find(name).map(|secret| secret.arn.clone());
        Ok(match version {
            Some(version) => json!({"ARN": arn, "Name": name, "VersionId": version}),
            None => json!({"ARN": arn, "Name": name}),
        })
    }

    fn describe_secret(&mut self) -> Answer {
        Ok(describe(self.secret()?, "VersionIdsToStages"))
    }

    fn list_secrets(&mut self) -> Answer {
        let asked =
            self.input.get("MaxResults").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let page = asked.unwrap_or(PAGE).clamp(1, PAGE);
        let from: usize = match self.text("NextToken")? {
            None => 0,
            Some(token) => match token.parse() {
                Ok(from) => from,
                Err(_) => return refuse("InvalidNextTokenException", "Invalid NextToken."),
            },
        };
        let all: Vec<Value> = self.secrets.all().map(|s| describe(s, "SecretVersionsToStages")).collect();
        let list: Vec<&Value> = all.iter().skip(from).take(page).collect();
        let next = from.saturating_add(page);
        Ok(if next < all.len() {
            json!({"SecretList": list, "NextToken": next.to_string()})
        } else {
            json!({"SecretList": list})
        })
    }

    fn update_secret_version_stage(&mut self) -> Answer {
        let (secret, stage) = (self.secret()?, self.required("VersionStage")?);
        let (from, to) = (self.text("RemoveFromVersionId")?, self.text("MoveToVersionId")?);
        for id in [from, to].into_iter().flatten() {
            if secret.version(id).is_none() {
                return refuse(
                    "ResourceNotFoundException",
                    "Secrets Manager can't find the specified secret version.",
                );
            }
        }
        let bearer = secret.staged(stage).map(|v| v.id.as_str());
        if let Some(bearer) = bearer.filter(|bearer| from != Some(*bearer) && to != Some(*bearer)) {
            let message = format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to \
                 version {bearer}, so you must explicitly reference that version in RemoveFromVersionId."
            );
            return refuse("InvalidParameterException", message);
        }
        if to.is_none() && stage == CURRENT {
            return refuse("InvalidParameterException", "You can't remove AWSCURRENT without moving it.");
        }
        let name = secret.name.clone();
        let body = json!({"ARN": secret.arn, "Name": name});
        if let Some(secret) = self.secrets.find_mut(&name) {
            match to {
                Some(to) => secret.stage(stage, to),
                None => secret.unstage(stage),
            }
        }
        Ok(body)
    }
}

fn not_found() -> Refusal {
    Refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.".into())
}

/// A version that bears no stage is deprecated: AWS does not list it.
fn describe(secret: &StoredSecret, versions_field: &str) -> Value {
    let staged = secret.versions.iter().filter(|v| !v.stages.is_empty());
    let versions: Map<String, Value> = staged.map(|v| (v.id.clone(), json!(v.stages))).collect();
    json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "CreatedDate": clock::epoch_seconds(secret.created_at),
        "LastChangedDate": clock::epoch_seconds(secret.changed_at),
        versions_field: versions,
    })
}
