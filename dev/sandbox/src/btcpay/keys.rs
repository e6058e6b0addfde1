//! `/api-keys/…` and `/users/…`.

use data_encoding::HEXLOWER;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    call::{Call, method_not_allowed},
    errors::{Answer, Refusal},
    permission::{CREATE_USER, MANAGE_USERS, Permission, VIEW_PROFILE},
    state::{Key, User},
};
use crate::{Service, clock, reply::Reply, world::lock};

pub(crate) fn answer(call: &mut Call<'_>, segments: &[&str]) -> Answer {
    match (call.method, segments) {
        (&Method::GET, ["api-keys", "current"]) => Ok(Reply::json(StatusCode::OK, &describe(call.key()?))),
        (&Method::DELETE, ["api-keys", "current"]) => {
            let (key, user) = (call.key()?.secret.clone(), call.user()?.id.clone());
            revoke(call, &key, &user)
        }
        (&Method::POST, ["api-keys"]) => {
            call.unrestricted()?;
            let user = call.user()?.id.clone();
            create_key(call, &user)
        }
        (&Method::DELETE, ["api-keys", key]) => {
            call.unrestricted()?;
            let user = call.user()?.id.clone();
            revoke(call, key, &user)
        }
        (&Method::POST, ["users"]) => create_user(call),
        (&Method::GET, ["users", "me"]) => {
            call.may(VIEW_PROFILE)?;
            Ok(Reply::json(StatusCode::OK, &describe_user(call.user()?)))
        }
        (&Method::POST, ["users", user, "api-keys"]) => {
            call.may(MANAGE_USERS)?;
            let user = find_user(call, user)?;
            create_key(call, &user)
        }
        (&Method::DELETE, ["users", user, "api-keys", key]) => {
            call.may(MANAGE_USERS)?;
            let user = find_user(call, user)?;
            revoke(call, key, &user)
        }
        (_, ["api-keys" | "users"] | ["api-keys", _] | ["users", "me"] | ["users", _, "api-keys", ..]) => {
            Err(method_not_allowed())
        }
        _ => Err(Refusal::Bare(StatusCode::NOT_FOUND)),
    }
}

fn describe(key: &Key) -> Value {
    let permissions: Vec<String> = key.permissions.iter().map(ToString::to_string).collect();
    json!({"apiKey": key.secret, "label": key.label, "permissions": permissions})
}

fn find_user(call: &Call<'_>, id_or_email: &str) -> Result<String, Refusal> {
    let same = |user: &&User| user.id == id_or_email || user.email.eq_ignore_ascii_case(id_or_email);
    let found = call.state.users.values().find(same);
    found.map(|user| user.id.clone()).ok_or_else(|| Refusal::not_found("user-not-found", "user"))
}

fn create_key(call: &mut Call<'_>, user: &str) -> Answer {
    let members = call.members_if_any()?;
    let label = members.get("label").and_then(Value::as_str).unwrap_or_default().to_owned();
    let listed = match members.get("permissions") {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(list)) => list.as_slice(),
        Some(_) => return Err(Refusal::invalid("permissions", "a list is expected")),
    };
    let parse = |item: &Value| {
        let parsed = item.as_str().and_then(Permission::parse);
        parsed.ok_or_else(|| Refusal::invalid("permissions", format!("{item} is no permission")))
    };
    let permissions: Vec<Permission> = listed.iter().map(parse).collect::<Result<_, _>>()?;
    let drawn = call.state.draw("api key");
    let secret = HEXLOWER.encode(drawn.get(..20).unwrap_or(&drawn));
    let key = Key { secret: secret.clone(), label, user: user.to_owned(), permissions };
    let answer = describe(&key);
    call.state.keys.insert(secret, key);
    lock(&call.world.counts).created(Service::Btcpay, "api_key");
    Ok(Reply::json(StatusCode::OK, &answer))
}

fn revoke(call: &mut Call<'_>, key: &str, user: &str) -> Answer {
    if call.state.keys.get(key).is_none_or(|known| known.user != user) {
        return Err(Refusal::not_found("apikey-not-found", "API key of this user"));
    }
    call.state.keys.remove(key);
    lock(&call.world.counts).deleted(Service::Btcpay, "api_key");
    Ok(Reply::empty(StatusCode::OK))
}

fn create_user(call: &mut Call<'_>) -> Answer {
    call.may(CREATE_USER)?;
    let members = call.members()?;
    let email = members.get("email").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !email.contains('@') {
        return Err(Refusal::invalid("email", "an email address is expected"));
    }
    if call.state.users.values().any(|user| user.email.eq_ignore_ascii_case(&email)) {
        return Err(Refusal::invalid("email", "somebody has this email address"));
    }
    let administrator = members.get("isAdministrator").and_then(Value::as_bool).unwrap_or_default();
    if administrator {
        call.unrestricted()?;
    }
    let user = User {
        id: call.state.seed.uuid(&format!("btcpay user {email}")),
        email,
        name: members.get("name").and_then(Value::as_str).map(str::to_owned),
        administrator,
        created: clock::now().unix_timestamp(),
    };
    let answer = describe_user(&user);
    call.state.users.insert(user.id.clone(), user);
    lock(&call.world.counts).created(Service::Btcpay, "user");
    Ok(Reply::json(StatusCode::CREATED, &answer))
}

fn describe_user(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "imageUrl": null,
        "invitationUrl": null,
        "emailConfirmed": true,
        "requiresEmailConfirmation": false,
        "approved": true,
        "requiresApproval": false,
        "storeQuota": null,
        "created": user.created,
        "disabled": false,
        "roles": if user.administrator { &["ServerAdmin"][..] } else { &[] },
    })
}
