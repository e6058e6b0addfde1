//! From starting a process, or a server, to its first answer.

use super::contender::{Contender, Crew};
use super::ground::Ground;
use super::people::Person;
use super::work::Work;
use anyhow::Result;
use std::time::{Duration, Instant};

pub async fn start(ground: &Ground, contender: Contender, work: Work, who: &mut Person) -> Result<Duration> {
    let begin = Instant::now();
    let crew = Crew::start(ground, contender, &[work], 1).await?;
    let mut seats = crew.seats(std::slice::from_ref(who)).await?;
    seats[0].ask(work).await?;
    let took = begin.elapsed();
    who.clone_from(&seats[0].who);
    crew.stop().await;
    Ok(took)
}
