use time::OffsetDateTime;

use super::text::App;
use super::{MailError, Mails, Written, queue};
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::KeyRing;
use crate::db::{Db, DbError, GenericClient};
use crate::log;
use crate::metrics;
use crate::random::Random;
use crate::secrets::SecretHandle;
use crate::ses::{Mail, Ses, SesError};
use crate::upstream::Upstream;

/// How long a request waits for its mail to be taken. What takes longer is left to `send_mails`.
const AT_ONCE: std::time::Duration = std::time::Duration::from_millis(700);

/// What became of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Sent,
    /// It is tried again.
    Waiting {
        at: OffsetDateTime,
        code: String,
    },
    Dead {
        code: String,
    },
}

/// Sends what [`Mails`] wrote down.
pub struct Sender {
    pub mails: Mails,
    ses: Option<Ses>,
    app: App,
    clock: Clock,
    random: Random,
    sealing: SecretHandle<KeyRing>,
}

impl Sender {
    /// Wires [`Mails`], [`Ses`], `APP_DOMAIN`, `VERIFY_EMAIL_URL` and `RESET_PASSWORD_URL`.
    pub fn wire(config: &mut Config) -> Self {
        let mails = Mails::wire(config);
        let upstream = Upstream::wire(config);
        Self {
            sealing: mails.sealing.clone(),
            mails,
            ses: Ses::wire(config, &upstream),
            app: App::wire(config),
            clock: config.clock(),
            random: config.random(),
        }
    }

    /// Sends what was just committed, if it is taken soon. Whether it is changes nothing for whoever asked: the mail
    /// is written down, and its failure is only logged. Hold no connection meanwhile: one is taken for the end.
    pub async fn send_now(&self, db: &Db, written: Option<Written>) {
        let Some(written) = written else { return };
        let fate = if written.exists { self.send(&written, AT_ONCE).await } else { Fate::Sent };
        let ended = async {
            let connection = db.connection().await?;
            self.end(connection.client(), &written, &fate).await
        };
        if let Err(error) = ended.await {
            let cause = log::causes(&error);
            tracing::warn!(target: "mail", mail = %written.id, cause, "what became of a mail was not written down");
        }
    }

    /// Takes up the mail that has been due longest.
    pub async fn take(&self, client: &impl GenericClient) -> Result<Option<Written>, MailError> {
        let ring = self.sealing.get().await.map_err(MailError::Secret)?;
        Ok(queue::take(client, &ring, self.clock.now()).await?)
    }

    /// Tries once. Hold no transaction and no connection meanwhile.
    pub async fn send(&self, written: &Written, within: std::time::Duration) -> Fate {
        let Ok(content) = &written.content else {
            return self.failed(written, String::from("UNREADABLE"), false);
        };
        let Some(ses) = &self.ses else {
            return self.failed(written, String::from("MAIL_NOT_CONFIGURED"), true);
        };
        let (subject, text) = self.app.write(written.kind, content);
        let Ok(mail) = Mail::new(&content.to, &subject, &text) else {
            return self.failed(written, String::from("NOT_A_MAIL"), false);
        };
        match ses.send(&mail, within).await {
            Ok(_) => {
                metrics::count("MailSent");
                Fate::Sent
            }
            Err(SesError::Refused(code)) => self.failed(written, code, false),
            Err(SesError::Retry(code)) => self.failed(written, code, true),
        }
    }

    fn failed(&self, written: &Written, code: String, may_pass: bool) -> Fate {
        let (mail, kind) = (written.id, written.kind.name());
        let next = queue::next_try(written, &self.random, self.clock.now()).filter(|_| may_pass);
        if let Some(at) = next {
            tracing::warn!(target: "mail", %mail, kind, code, "a mail could not be sent");
            Fate::Waiting { at, code }
        } else {
            metrics::count("MailDead");
            tracing::error!(target: "mail", %mail, kind, code, "a mail was given up");
            Fate::Dead { code }
        }
    }

    /// Writes down what became of it.
    pub async fn end(
        &self,
        client: &impl GenericClient,
        written: &Written,
        fate: &Fate,
    ) -> Result<(), DbError> {
        queue::end(client, (written.id, written.attempts), fate, self.clock.now()).await
    }
}
