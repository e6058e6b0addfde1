//! Lists in pages: `?limit=` and `?cursor=` in, `{"items": […], "nextCursor": …}` out. A cursor is a place between two
//! rows, so rows that come or go meanwhile are neither skipped nor repeated.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{ApiError, Request};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 200;

/// The row a page begins behind, in the order of creation, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub created_at: OffsetDateTime,
    pub id: Uuid,
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub limit: u16,
    pub after: Option<Cursor>,
}

/// One page of a list, on its way out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Items<T> {
    pub items: Vec<T>,
    /// `null` on the last page.
    pub next_cursor: Option<String>,
}

impl Page {
    /// Reads `limit` (1 to 200, else 50) and `cursor` of the query.
    pub fn of(request: &Request) -> Result<Self, ApiError> {
        let limit = match request.query_parameter("limit") {
            None => DEFAULT_LIMIT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                .ok_or_else(|| ApiError::invalid("limit", format!("must be 1 to {MAX_LIMIT}")))?,
        };
        let after = request.query_parameter("cursor").map(|text| Cursor::parse(&text)).transpose()?;
        Ok(Self { limit, after })
    }

    /// What to ask the database for: one row more than the page holds, to know whether it is the last.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Cuts the row too many off, and says where the next page begins.
    pub fn cut<T>(&self, mut rows: Vec<T>, place: impl Fn(&T) -> Cursor) -> Items<T> {
        let more = rows.len() > usize::from(self.limit);
        rows.truncate(usize::from(self.limit));
        let next_cursor = rows.last().filter(|_| more).map(|row| place(row).to_text());
        Items { items: rows, next_cursor }
    }
}

impl Cursor {
    fn to_text(self) -> String {
        let micros = i64::try_from(self.created_at.unix_timestamp_nanos() / 1_000).unwrap_or_default();
        BASE64URL_NOPAD.encode(&[&micros.to_be_bytes()[..], self.id.as_bytes()].concat())
    }

    fn parse(text: &str) -> Result<Self, ApiError> {
        let place = || {
            let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
            let (micros, id) = bytes.split_at_checked(8)?;
            let nanos = i128::from(i64::from_be_bytes(micros.try_into().ok()?)) * 1_000;
            let created_at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
            // Postgres' calendar is longer than ours backwards and shorter than what a cursor could say.
            (0..10_000).contains(&created_at.year()).then_some(())?;
            Some(Self { created_at, id: Uuid::from_slice(id).ok()? })
        };
        place().ok_or_else(|| ApiError::invalid("cursor", "is not one of ours"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Page};
    use crate::http::Request;
    use time::macros::datetime;
    use uuid::Uuid;

    fn page(query: &str) -> Result<Page, crate::http::ApiError> {
        Page::of(&Request { query: query.to_owned(), ..Request::default() })
    }

    #[test]
    fn a_page_ends_where_the_next_one_begins() {
        let place = |at: &i64| Cursor {
            created_at: datetime!(2026-11-01 0:00:00.123456 UTC) + time::Duration::seconds(*at),
            id: Uuid::from_u128(7),
        };
        let first = page("limit=2").unwrap();
        let items = first.cut(vec![3, 2, 1], place);
        assert_eq!(items.items, [3, 2]);
        let second = page(&format!("limit=2&cursor={}", items.next_cursor.unwrap())).unwrap();
        assert_eq!(second.after, Some(place(&2)));
        assert_eq!(second.cut(vec![1], place).next_cursor, None);
    }

    #[test]
    fn limits_out_of_bounds_and_cursors_of_others_are_refused() {
        assert_eq!(page("").unwrap().limit, 50);
        let cursors =
            ["", "AAAA", "____________________________________", "%00", "f_________8AAAAAAAAAAAAAAAAAAAAA"];
        for query in ["limit=0", "limit=201", "limit=-1", "limit=x", "limit="] {
            assert!(page(query).is_err(), "{query}");
        }
        for cursor in cursors {
            assert!(page(&format!("cursor={cursor}")).is_err(), "{cursor}");
        }
    }
}
