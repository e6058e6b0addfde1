use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sandbox::{Misbehaviour, Route, Sandbox, SandboxOptions, Service, When};
use serde_json::Value;
use testing::Result;

use crate::tool::{Tool, document, secret_values};

pub const NAMES: [&str; 9] = [
    "database/owner",
    "database/auth",
    "database/api",
    "database/webhooks",
    "database/jobs",
    "signing",
    "sealing",
    "audit",
    "marker",
];
const NEW: [&str; 4] = ["secrets", "new", "--database-host", "db.example.com"];

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[tokio::test]
async fn every_secret_is_a_file_for_its_owner_alone() -> Result<()> {
    let home = tempfile::tempdir()?;
    let out = home.path().join("secrets");
    let more = ["--database-owner-host", "direct.example.com", "--out", &text(&out)];
    let printed = Tool::default().run(&[&NEW[..], &more].concat()).await?.ok();
    assert_eq!(mode(&out)?, 0o700);
    let mut values = BTreeSet::new();
    for name in NAMES {
        let path = out.join(format!("{}.json", name.replace('/', "-")));
        assert_eq!(mode(&path)?, 0o600, "{name}");
        assert!(printed.contains(&text(&path)), "{printed}");
        let document: Value = serde_json::from_slice(&fs::read(&path)?)?;
        for value in secret_values(&document) {
            assert!(!printed.contains(&value), "{name} was printed");
            values.insert(value);
        }
        if name.starts_with("database/") {
            assert_eq!((&document["sslmode"], &document["port"]), (&"require".into(), &5432.into()));
            let direct = name == "database/owner";
            assert_eq!(document["host"], if direct { "direct.example.com" } else { "db.example.com" });
        }
    }
    assert_eq!(fs::read_dir(&out)?.count(), NAMES.len());
    // Five passwords, three keys and the lines of a private key: no value twice.
    assert!(values.len() > 8 + 20, "{}", values.len());
    Ok(())
}

#[tokio::test]
async fn files_that_exist_are_left_alone() -> Result<()> {
    let home = tempfile::tempdir()?;
    let out = home.path().join("secrets");
    let path = text(&out);
    let arguments = [&NEW[..], &["--algorithm", "ES256", "--out", &path]].concat();
    let tool = Tool::default();
    tool.run(&arguments).await?.ok();
    let read = |name: &str| fs::read_to_string(out.join(name));
    let (sealing, audit) = (read("sealing.json")?, read("audit.json")?);
    let said = tool.run(&arguments).await?.refused();
    assert!(said.contains("nothing was made") && said.contains("sealing.json"), "{said}");

    fs::remove_file(out.join("audit.json"))?;
    let said = tool.run(&arguments).await?.refused();
    assert!(!said.contains("audit.json"), "{said}");
    assert!(!out.join("audit.json").exists(), "nothing is made beside secrets that exist, unless asked");
    tool.run(&[&arguments[..], &["--missing"]].concat()).await?.ok();
    assert_eq!(read("sealing.json")?, sealing);
    assert_ne!(read("audit.json")?, audit);
    Ok(())
}

#[tokio::test]
async fn a_directory_open_to_others_is_refused() -> Result<()> {
    let home = tempfile::tempdir()?;
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755))?;
    let said = Tool::default().run(&[&NEW[..], &["--out", &text(home.path())]].concat()).await?.refused();
    assert!(said.contains("open to others"), "{said}");
    assert_eq!(fs::read_dir(home.path())?.count(), 0);
    Ok(())
}

#[tokio::test]
async fn secrets_manager_gets_every_secret_once() -> Result<()> {
    let sandbox = Sandbox::start(SandboxOptions::default()).await?;
    let tool = Tool::at(&sandbox);
    let arguments = [&NEW[..], &["--put", "--prefix", "team/satchel"]].concat();
    let printed = tool.run(&arguments).await?.ok();
    let names = NAMES.map(|name| format!("team/satchel/{name}"));
    let before: Vec<_> = names.iter().map(|name| document(&sandbox, name)).collect::<Result<_>>()?;
    for (name, document) in names.iter().zip(&before) {
        assert!(printed.contains(name), "{printed}");
        for value in secret_values(document) {
            assert!(!printed.contains(&value), "{name} was printed");
        }
    }
    let said = tool.run(&arguments).await?.refused();
    assert!(names.iter().all(|name| said.contains(name)), "{said}");

    // A run cut short is finished by the next one.
    sandbox.secrets().remove(&names[6]);
    tool.run(&[&arguments[..], &["--missing"]].concat()).await?.ok();
    let after: Vec<_> = names.iter().map(|name| document(&sandbox, name)).collect::<Result<_>>()?;
    assert_eq!(before[..6], after[..6]);
    assert_ne!(before[6], after[6]);
    Ok(())
}

#[tokio::test]
async fn an_answer_lost_on_the_way_creates_nothing_twice() -> Result<()> {
    let sandbox = Sandbox::start(SandboxOptions::default()).await?;
    let creating = Route::service(Service::SecretsManager).path("/CreateSecret");
    sandbox.faults().add(creating, When::Times(1), Misbehaviour::CloseAfter)?;
    Tool::at(&sandbox).run(&[&NEW[..], &["--put"]].concat()).await?.ok();
    for name in NAMES {
        document(&sandbox, &format!("satchel/{name}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn what_no_function_would_take_is_not_made() -> Result<()> {
    let home = tempfile::tempdir()?;
    let out = home.path().join("secrets");
    let path = text(&out);
    let to_out = [&NEW[..], &["--out", &path]].concat();
    let said = Tool::default().run(&[&to_out[..], &["--sslmode", "disable"]].concat()).await?.refused();
    assert!(said.contains("turns TLS off"), "{said}");
    let not_pem = home.path().join("ca.pem");
    fs::write(&not_pem, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")?;
    let said = Tool::default().run(&[&to_out[..], &["--ca-file", &text(&not_pem)]].concat()).await?.refused();
    assert!(said.contains("ca_pem"), "{said}");
    assert!(!out.exists());
    Ok(())
}

#[tokio::test]
async fn without_credentials_every_missing_variable_is_named() -> Result<()> {
    let said = Tool::default().run(&[&NEW[..], &["--put"]].concat()).await?.refused();
    for variable in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        assert!(said.contains(variable), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn it_must_be_said_where_secrets_go() -> Result<()> {
    for more in [&[][..], &["--put", "--out", "/nowhere"]] {
        let ran = Tool::default().run(&[&NEW[..], more].concat()).await?;
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
        assert!(ran.stderr.contains("--put"), "{ran:?}");
    }
    Ok(())
}
