use time::OffsetDateTime;

use crate::db::Row;

/// How one word about an object stands to another. Compared from the first field to the last; the greater one counts.
///
/// An event's time is in whole seconds, and a webhook may be late by days. So an end that nothing takes back outdoes
/// everything before it, whenever it was said; of words that may take each other back the later counts; and of two said
/// in one second the one further along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// 0 for what may still become anything; above that, each end outdoes the ends below it.
    pub finality: i16,
    pub seen_at: OffsetDateTime,
    /// How far along within one second. What two words disagree about that stand alike the provider is asked to settle.
    pub rank: i16,
}

impl Standing {
    pub fn new((finality, rank): (i16, i16), seen_at: OffsetDateTime) -> Self {
        Self { finality, seen_at, rank }
    }
}

/// What is on record of something, and how much the word counts by which it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard<T> {
    pub content: T,
    pub standing: Standing,
    /// Two words stand alike and differ: the provider is to be asked.
    pub disputed: bool,
}

impl<T: Ord> Heard<T> {
    pub fn new(content: T, standing: Standing) -> Self {
        Self { content, standing, disputed: false }
    }

    /// What a row with the columns `finality`, `seen_at`, `rank` and `refetch_at` has on record.
    pub fn of_row(row: &Row, content: T) -> Self {
        let standing =
            Standing { finality: row.get("finality"), seen_at: row.get("seen_at"), rank: row.get("rank") };
        Self { content, standing, disputed: row.get::<_, Option<OffsetDateTime>>("refetch_at").is_some() }
    }

    /// What is on record once `word` was heard, whether or not anything was before.
    pub fn after(before: Option<Self>, word: Self) -> Self {
        match before {
            Some(before) => before.hear(word),
            None => word,
        }
    }

    /// What is on record once another word was heard, in whichever order the two came.
    #[must_use]
    pub fn hear(self, word: Self) -> Self {
        match word.standing.cmp(&self.standing) {
            std::cmp::Ordering::Less => self,
            std::cmp::Ordering::Greater => word,
            std::cmp::Ordering::Equal => Self {
                disputed: self.disputed || word.disputed || self.content != word.content,
                content: self.content.max(word.content),
                standing: self.standing,
            },
        }
    }
}

#[cfg(test)]
mod tests;
