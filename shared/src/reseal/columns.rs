//! Every sealed column there is. A test holds this list against the database's own, so that none is forgotten.

use uuid::Uuid;

use crate::crypto::{Field, Purpose};

/// A column of sealed values, and the statements that read and write it without opening anything.
pub struct SealedColumn {
    pub table: &'static str,
    pub column: &'static str,
    pub purpose: Purpose,
    row: Row,
    /// The next `$3` rows after place `$1` whose value begins below `$2`, in the order of the primary key.
    pub(super) next: &'static str,
    /// Puts `$3` in the place of `$2` at `$1`, and notes in `reseal_progress` how far that has come. A row that
    /// somebody holds or has changed meanwhile is left to them.
    pub(super) put: &'static str,
    /// How many values begin below `$1`.
    pub(super) below: &'static str,
    /// How many values begin with `$1`.
    pub(super) beginning: &'static str,
}

/// What a value is sealed to, made of the text of its primary key.
#[derive(Clone, Copy)]
enum Row {
    Uuid,
    Text,
}

impl SealedColumn {
    /// Where the value at `place` is sealed to; `None` if there can be no such place.
    pub(super) fn field<'a>(&self, place: &str, row: &'a mut Vec<u8>) -> Option<Field<'a>> {
        *row = match self.row {
            Row::Uuid => Uuid::parse_str(place).ok()?.as_bytes().to_vec(),
            Row::Text => place.as_bytes().to_vec(),
        };
        Some(Field { purpose: self.purpose, table: self.table, column: self.column, row })
    }
}

macro_rules! sealed {
    ($purpose:ident, $row:ident, $table:literal, $column:literal,
     place $place:expr, after $after:expr, same $same:expr, order $order:expr) => {
        SealedColumn {
            table: $table,
            column: $column,
            purpose: Purpose::$purpose,
            row: Row::$row,
            next: concat!(
                "SELECT ",
                $place,
                " AS place, t.",
                $column,
                " AS sealed FROM ",
                $table,
                " t
                 WHERE ($1::text IS NULL OR ",
                $after,
                ") AND substring(t.",
                $column,
                " FROM 1 FOR 5) < $2
                 ORDER BY ",
                $order,
                " LIMIT $3"
            ),
            put: concat!(
                "WITH free AS (
                     SELECT n.place, n.old, n.new
                     FROM unnest($1, $2, $3) AS n (place, old, new)
                     JOIN ",
                $table,
                " t ON ",
                $same,
                " AND t.",
                $column,
                " = n.old
                     FOR NO KEY UPDATE OF t SKIP LOCKED
                 ), done AS (
                     UPDATE ",
                $table,
                " t SET ",
                $column,
                " = n.new
                     FROM free n WHERE ",
                $same,
                " AND t.",
                $column,
                " = n.old
                     RETURNING 1
                 ), noted AS (
                     UPDATE reseal_progress
                     SET reached = $4, found_at = $5, resealed = resealed + (SELECT count(*) FROM done)
                     WHERE purpose = $6 AND key_id = $7 AND table_name = $8 AND column_name = $9
                 )
                 SELECT count(*) FROM done"
            ),
            below: concat!(
                "SELECT count(*) FROM ",
                $table,
                " WHERE substring(",
                $column,
                " FROM 1 FOR 5) < $1"
            ),
            beginning: concat!(
                "SELECT count(*) FROM ",
                $table,
                " WHERE substring(",
                $column,
                " FROM 1 FOR 5) = $1"
            ),
        }
    };
}

/// A column of a table whose primary key is one UUID, to whose bytes its values are sealed.
macro_rules! by_uuid {
    ($purpose:ident, $table:literal, $key:literal, $column:literal) => {
        sealed!(
            $purpose, Uuid, $table, $column,
            place concat!("t.", $key, "::text"),
            after concat!("t.", $key, " > CAST($1 AS uuid)"),
            same concat!("t.", $key, " = CAST(n.place AS uuid)"),
            order concat!("t.", $key)
        )
    };
}

pub const SEALED_COLUMNS: &[SealedColumn] = &[
    by_uuid!(Macaroon, "nodes", "user_id", "macaroon_sealed"),
    by_uuid!(RefreshKey, "sessions", "id", "refresh_key_sealed"),
    by_uuid!(PushToken, "sessions", "id", "push_token_sealed"),
    sealed!(
        StoredReply, Text, "idempotency_keys", "reply_sealed",
        place "concat_ws(E'\\n', t.user_id::text, t.route, t.key)",
        after "(t.user_id, t.route, t.key) > (CAST(split_part($1, E'\\n', 1) AS uuid),
                   split_part($1, E'\\n', 2), split_part($1, E'\\n', 3))",
        same "(t.user_id, t.route, t.key) = (CAST(split_part(n.place, E'\\n', 1) AS uuid),
                  split_part(n.place, E'\\n', 2), split_part(n.place, E'\\n', 3))",
        order "t.user_id, t.route, t.key"
    ),
    by_uuid!(Wallet, "lightning_setup_secrets", "setup_id", "password_sealed"),
    by_uuid!(Wallet, "lightning_setup_secrets", "setup_id", "root_key_sealed"),
    by_uuid!(Wallet, "lightning_setup_secrets", "setup_id", "seed_sealed"),
    by_uuid!(Macaroon, "lightning_setup_secrets", "setup_id", "macaroon_sealed"),
    by_uuid!(BtcpayConfig, "lightning_setup_secrets", "setup_id", "webhook_secret_sealed"),
    by_uuid!(BtcpayConfig, "lightning_addresses", "user_id", "btcpay_config_sealed"),
    by_uuid!(NodeConfig, "lightning_addresses", "user_id", "node_config_sealed"),
    by_uuid!(WebhookBody, "webhook_events", "id", "body_sealed"),
    by_uuid!(Mail, "mails", "id", "content_sealed"),
];

/// The columns sealed for this purpose.
pub fn columns(purpose: Purpose) -> impl Iterator<Item = &'static SealedColumn> {
    SEALED_COLUMNS.iter().filter(move |column| column.purpose == purpose)
}
