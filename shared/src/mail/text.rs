//! What mails say: plain text, one thing each, and which app it is from.

use url::Url;

use super::{Content, Kind};
use crate::config::Config;

/// The app that mails speak for, and its pages.
#[derive(Clone)]
pub(super) struct App {
    domain: String,
    verify_email: Option<Url>,
    reset_password: Option<Url>,
}

impl App {
    /// Wires `APP_DOMAIN`, `VERIFY_EMAIL_URL` (`/verify-email` there) and `RESET_PASSWORD_URL` (`/reset-password`).
    pub(super) fn wire(config: &mut Config) -> Self {
        let domain = config.text("APP_DOMAIN");
        let verify_email = config.optional("VERIFY_EMAIL_URL");
        let verify_email = page(config, "VERIFY_EMAIL_URL", verify_email, &domain, "verify-email");
        let reset_password = config.optional("RESET_PASSWORD_URL");
        let reset_password = page(config, "RESET_PASSWORD_URL", reset_password, &domain, "reset-password");
        Self { domain, verify_email, reset_password }
    }

    /// Subject and text of a mail.
    pub(super) fn write(&self, kind: Kind, content: &Content) -> (String, String) {
        let app = &self.domain;
        let what = content.about.as_deref().unwrap_or("a way to sign in");
        let if_not_you = "If this was not you, set a new password and end your other sessions at once.";
        let (subject, text) = match kind {
            Kind::VerifyEmail => (
                "Confirm your e-mail address",
                format!(
                    "Somebody, most likely you, made an account at {app} with this address.\n\n\
                     Confirm that it is yours within 24 hours:\n\n{}\n\n\
                     If you did not register, do not open this link: it would confirm the account of somebody else, \
                     who could sign in to it as you can. Without it your address counts for nothing there.",
                    link(self.verify_email.as_ref(), content)
                ),
            ),
            Kind::LinkEmail => (
                "Confirm your e-mail address",
                format!(
                    "An account at {app} would like to use this address to sign in.\n\n\
                     If it is your account, confirm within 24 hours:\n\n{}\n\n\
                     The link works only where that account is signed in. If it was not you who asked, do not open \
                     it: nothing is changed without it.",
                    link(self.verify_email.as_ref(), content)
                ),
            ),
            Kind::ResetPassword => (
                "Set a new password",
                format!(
                    "Somebody, most likely you, asked for a new password at {app}.\n\n\
                     Choose one within an hour:\n\n{}\n\n\
                     All your sessions end when you do. If it was not you, leave this mail alone: your password \
                     stays as it is.",
                    link(self.reset_password.as_ref(), content)
                ),
            ),
            Kind::PasswordChanged => (
                "Your password was changed",
                format!(
                    "The password of your account at {app} was changed, and your other sessions were ended.\n\n\
                     {if_not_you}"
                ),
            ),
            Kind::IdentityLinked => (
                "A way to sign in was added",
                format!("Your account at {app} can now be signed in to with {what}.\n\n{if_not_you}"),
            ),
            Kind::IdentityUnlinked => (
                "A way to sign in was removed",
                format!("Your account at {app} can no longer be signed in to with {what}.\n\n{if_not_you}"),
            ),
            Kind::SessionReuseDetected => (
                "A session was ended for your safety",
                format!(
                    "A refresh token of your account at {app} was used a second time, as if somebody had a copy of \
                     it. The session was ended.\n\n\
                     Sign in again. If you do not know the reason, set a new password and look through your sessions."
                ),
            ),
            Kind::AccountDeleted => (
                "Your account was deleted",
                format!(
                    "Your account at {app} was deleted, and all its sessions were ended. What is personal in it is \
                     removed soon.\n\n\
                     If this was not you, write to the people of {app} at once."
                ),
            ),
        };
        (format!("{subject} ({app})"), format!("{text}\n\n-- \n{app}\n"))
    }
}

fn page(config: &mut Config, name: &str, given: Option<String>, domain: &str, default: &str) -> Option<Url> {
    let text = given.unwrap_or_else(|| format!("https://{domain}/{default}"));
    let page = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    if page.is_none() {
        config.problem(format!("{name} is not the URL of a page"));
    }
    page
}

/// The page with the token behind it.
fn link(page: Option<&Url>, content: &Content) -> String {
    let token = content.token.as_ref().map_or("", |token| token.expose());
    page.map_or_else(String::new, |page| {
        let mut page = page.clone();
        page.query_pairs_mut().append_pair("token", token);
        page.into()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::Clock;
    use crate::crypto::Secret;
    use crate::random::Random;

    fn app(given: &[(&str, &str)]) -> App {
        let environment: BTreeMap<String, String> =
            given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        App::wire(&mut Config::new(environment, Clock::system(), Random::system()))
    }

    fn content() -> Content {
        Content {
            to: "a@example.com".into(),
            token: Some(Secret::new("t0ken".into())),
            about: Some("Discord".into()),
        }
    }

    #[test]
    fn every_kind_names_the_app_in_subject_and_text_and_only_tokens_are_linked() {
        let app = app(&[("APP_DOMAIN", "app.example.com")]);
        for kind in Kind::ALL {
            let (subject, text) = app.write(kind, &content());
            assert!(
                subject.contains("app.example.com") && subject.is_ascii() && subject.len() < 78,
                "{subject}"
            );
            assert!(text.contains("app.example.com") && text.is_ascii(), "{text}");
            let brings_a_token = matches!(kind, Kind::VerifyEmail | Kind::LinkEmail | Kind::ResetPassword);
            assert_eq!(text.contains("token=t0ken"), brings_a_token, "{text}");
        }
    }

    #[test]
    fn links_lead_to_the_pages_of_the_app_unless_others_are_given() {
        let default = app(&[("APP_DOMAIN", "app.example.com")]);
        let text = default.write(Kind::VerifyEmail, &content()).1;
        assert!(text.contains("\nhttps://app.example.com/verify-email?token=t0ken\n"), "{text}");
        let text = default.write(Kind::ResetPassword, &content()).1;
        assert!(text.contains("\nhttps://app.example.com/reset-password?token=t0ken\n"), "{text}");
        let own = app(&[
            ("APP_DOMAIN", "app.example.com"),
            ("VERIFY_EMAIL_URL", "https://www.example.com/#/x?lang=en"),
            ("RESET_PASSWORD_URL", "https://www.example.com/new?lang=en"),
        ]);
        let text = own.write(Kind::ResetPassword, &content()).1;
        assert!(text.contains("\nhttps://www.example.com/new?lang=en&token=t0ken\n"), "{text}");
    }

    #[tokio::test]
    async fn what_is_no_page_keeps_a_function_from_starting() {
        for page in ["nowhere", "javascript:alert(1)", "mailto:a@example.com"] {
            let environment = BTreeMap::from([
                (String::from("APP_DOMAIN"), String::from("app.example.com")),
                (String::from("RESET_PASSWORD_URL"), page.to_owned()),
            ]);
            let mut config = Config::new(environment, Clock::system(), Random::system());
            App::wire(&mut config);
            let problem = config.finish().await.unwrap_err().to_string();
            assert!(problem.contains("RESET_PASSWORD_URL is not the URL of a page"), "{problem}");
        }
    }
}
