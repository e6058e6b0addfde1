//! Permissions, `btcpay.store.cancreateinvoice` or `btcpay.store.cancreateinvoice:<store>`, and what each includes.

pub(crate) const UNRESTRICTED: &str = "unrestricted";
pub(crate) const MANAGE_USERS: &str = "btcpay.server.canmanageusers";
pub(crate) const CREATE_USER: &str = "btcpay.server.cancreateuser";
pub(crate) const USE_INTERNAL_NODE: &str = "btcpay.server.canuseinternallightningnode";
pub(crate) const MODIFY_SERVER: &str = "btcpay.server.canmodifyserversettings";
pub(crate) const VIEW_PROFILE: &str = "btcpay.user.canviewprofile";
pub(crate) const MODIFY_STORE: &str = "btcpay.store.canmodifystoresettings";
pub(crate) const VIEW_STORE: &str = "btcpay.store.canviewstoresettings";
pub(crate) const MODIFY_WEBHOOKS: &str = "btcpay.store.webhooks.canmodifywebhooks";
pub(crate) const CREATE_INVOICE: &str = "btcpay.store.cancreateinvoice";
pub(crate) const MODIFY_INVOICES: &str = "btcpay.store.canmodifyinvoices";
pub(crate) const VIEW_INVOICES: &str = "btcpay.store.canviewinvoices";
pub(crate) const USE_LIGHTNING_NODE: &str = "btcpay.store.canuselightningnode";
pub(crate) const CREATE_LIGHTNING_INVOICE: &str = "btcpay.store.cancreatelightninginvoice";
pub(crate) const VIEW_LIGHTNING_INVOICE: &str = "btcpay.store.canviewlightninginvoice";

/// What the default key of the sandbox may do.
pub(crate) const DEFAULT: [&str; 5] =
    [MODIFY_STORE, MODIFY_WEBHOOKS, CREATE_INVOICE, VIEW_INVOICES, VIEW_STORE];

const KNOWN: [&str; 15] = [
    UNRESTRICTED,
    MANAGE_USERS,
    CREATE_USER,
    USE_INTERNAL_NODE,
    MODIFY_SERVER,
    VIEW_PROFILE,
    MODIFY_STORE,
    VIEW_STORE,
    MODIFY_WEBHOOKS,
    CREATE_INVOICE,
    MODIFY_INVOICES,
    VIEW_INVOICES,
    USE_LIGHTNING_NODE,
    CREATE_LIGHTNING_INVOICE,
    VIEW_LIGHTNING_INVOICE,
];

const INCLUDES: [(&str, &[&str]); 6] = [
    (MODIFY_SERVER, &[USE_INTERNAL_NODE, MANAGE_USERS]),
    (MANAGE_USERS, &[CREATE_USER]),
    (MODIFY_STORE, &[MODIFY_INVOICES, VIEW_STORE, MODIFY_WEBHOOKS, USE_LIGHTNING_NODE]),
    (VIEW_STORE, &[VIEW_INVOICES]),
    (MODIFY_INVOICES, &[VIEW_INVOICES, CREATE_INVOICE, CREATE_LIGHTNING_INVOICE]),
    (USE_LIGHTNING_NODE, &[VIEW_LIGHTNING_INVOICE, CREATE_LIGHTNING_INVOICE]),
];

fn includes(policy: &str, wanted: &str) -> bool {
    let inner = || INCLUDES.iter().find(|(outer, _)| *outer == policy).map_or(&[][..], |(_, inner)| *inner);
    policy == UNRESTRICTED || policy == wanted || inner().iter().any(|policy| includes(policy, wanted))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Permission {
    policy: &'static str,
    store: Option<String>,
}

impl Permission {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (policy, store) = match text.trim().split_once(':') {
            None => (text.trim(), None),
            Some((policy, store)) => (policy, Some(store.to_owned())),
        };
        let policy = *KNOWN.iter().find(|known| known.eq_ignore_ascii_case(policy))?;
        let scoped_well = store.as_ref().is_none_or(|store| is_of_store(policy) && !store.is_empty());
        scoped_well.then_some(Self { policy, store })
    }

    /// `None` asks for the permission in all stores.
    pub(crate) fn grants(&self, wanted: &str, store: Option<&str>) -> bool {
        includes(self.policy, wanted) && (self.store.is_none() || self.store.as_deref() == store)
    }

    /// The one store it is limited to, when it grants this there.
    pub(crate) fn only_store(&self, wanted: &str) -> Option<&str> {
        self.store.as_deref().filter(|_| includes(self.policy, wanted))
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.policy)?;
        self.store.as_ref().map_or(Ok(()), |store| write!(f, ":{store}"))
    }
}

pub(crate) fn is_of_store(policy: &str) -> bool {
    policy.starts_with("btcpay.store.")
}

pub(crate) fn is_of_server(policy: &str) -> bool {
    policy.starts_with("btcpay.server.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_includes_what_is_below_it_and_keeps_to_its_store() {
        let all = Permission::parse("btcpay.store.canmodifystoresettings").unwrap();
        assert!(all.grants(CREATE_LIGHTNING_INVOICE, Some("a")) && all.grants(MODIFY_STORE, None));
        let one = Permission::parse("btcpay.store.CanCreateInvoice:a").unwrap();
        assert_eq!(one.to_string(), "btcpay.store.cancreateinvoice:a");
        assert!(one.grants(CREATE_INVOICE, Some("a")));
        assert!(!one.grants(CREATE_INVOICE, Some("b")) && !one.grants(CREATE_INVOICE, None));
        assert!(!one.grants(VIEW_INVOICES, Some("a")));
        for wrong in ["btcpay.store.canfly", "unrestricted:a", "btcpay.server.canmanageusers:a", ""] {
            assert_eq!(Permission::parse(wrong), None, "{wrong}");
        }
    }
}
