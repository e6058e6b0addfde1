//! Secrets, their versions, and which version bears which stage.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

use crate::{clock, seed::Seed};

pub(crate) const CURRENT: &str = "AWSCURRENT";
pub(crate) const PREVIOUS: &str = "AWSPREVIOUS";

#[derive(Default)]
pub(crate) struct SecretsState {
    secrets: BTreeMap<String, StoredSecret>,
    reads: BTreeMap<String, u64>,
    /// Secrets and versions made so far, so that a secret made anew gets new ids.
    made: u64,
}

pub(crate) struct StoredSecret {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) changed_at: OffsetDateTime,
    pub(crate) versions: Vec<Version>,
}

pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) value: String,
    pub(crate) stages: BTreeSet<String>,
    pub(crate) created_at: OffsetDateTime,
}

impl SecretsState {
    /// By name or by ARN.
    pub(crate) fn find(&self, id: &str) -> Option<&StoredSecret> {
        self.secrets.get(id).or_else(|| self.secrets.values().find(|s| s.arn == id))
    }

    pub(crate) fn find_mut(&mut self, id: &str) -> Option<&mut StoredSecret> {
        let name = self.find(id)?.name.clone();
        self.secrets.get_mut(&name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &StoredSecret> {
        self.secrets.values()
    }

    pub(crate) fn create(&mut self, name: &str, seed: Seed) {
        let now = clock::now();
        // AWS ends an ARN in six random characters, so that a secret made anew is another resource.
        self.made += 1;
        let id = seed.uuid(&format!("arn {name} {}", self.made));
        let suffix: String = id.chars().filter(char::is_ascii_alphanumeric).take(6).collect();
        let arn = format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}-{suffix}");
        let secret = StoredSecret {
            name: name.to_owned(),
            arn,
            created_at: now,
            changed_at: now,
            versions: Vec::new(),
        };
        self.secrets.insert(name.to_owned(), secret);
    }

    /// Adds a version to an existing secret and makes it current. Returns its id.
    pub(crate) fn add_version(&mut self, id: &str, value: &str, version: Option<&str>, seed: Seed) -> String {
        self.made += 1;
        let made = self.made;
        let Some(secret) = self.find_mut(id) else { return String::new() };
        let fresh = || seed.uuid(&format!("version {} {made}", secret.name));
        let version = version.map_or_else(fresh, str::to_owned);
        secret.versions.push(Version {
            id: version.clone(),
            value: value.to_owned(),
            stages: BTreeSet::new(),
            created_at: clock::now(),
        });
        secret.stage(CURRENT, &version);
        version
    }

    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.secrets.remove(name).is_some()
    }

    pub(crate) fn count_read(&mut self, name: &str) {
        *self.reads.entry(name.to_owned()).or_default() += 1;
    }

    pub(crate) fn reads(&self, name: &str) -> u64 {
        self.reads.get(name).copied().unwrap_or_default()
    }
}

impl StoredSecret {
    pub(crate) fn staged(&self, stage: &str) -> Option<&Version> {
        self.versions.iter().find(|v| v.stages.contains(stage))
    }

    pub(crate) fn version(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|v| v.id == id)
    }

    /// Moves a stage to a version. The version that loses `AWSCURRENT` becomes `AWSPREVIOUS`.
    pub(crate) fn stage(&mut self, stage: &str, version: &str) {
        let before = self.staged(stage).map(|v| v.id.clone());
        self.unstage(stage);
        if let Some(to) = self.versions.iter_mut().find(|v| v.id == version) {
            to.stages.insert(stage.to_owned());
        }
        if let Some(before) = before.filter(|before| stage == CURRENT && before != version) {
            self.stage(PREVIOUS, &before);
        }
        self.changed_at = clock::now();
    }

    pub(crate) fn unstage(&mut self, stage: &str) {
        for version in &mut self.versions {
            version.stages.remove(stage);
        }
    }
}
