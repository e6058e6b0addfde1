//! Every operation behind a token, with the ids of somebody else: not a byte of theirs, and nothing of theirs changed.
//! The table is made from `openapi.yaml`, so a route that is added is covered, or makes this fail.

mod callers;
mod estate;

use anyhow::Context;
use callers::{Caller, Callers};
use e2e::client::Request;
use e2e::openapi::{self, Door, Operation};
use e2e::{Answer, Result, Stack, form};
use estate::Estate;

/// Fewer would mean that the table is not read any more.
const ROUTES: usize = 49;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_reads_a_byte_of_an_account_or_changes_it() -> Result<()> {
    let stack = Stack::start().await?;
    let estate = Estate::found(&stack).await?;
    let callers = Callers::assemble(&stack, &estate).await?;
    let operations: Vec<Operation> =
        openapi::operations()?.into_iter().filter(|operation| operation.door != Door::Open).collect();

    let before = estate.rows(&stack).await?;
    let (mut problems, mut calls) = (Vec::new(), 0);
    for operation in &operations {
        for caller in Caller::ALL {
            for request in requests(&stack, operation, &estate)? {
                let (request, sent) = request;
                let answer = callers.sign(&stack, request, caller).await?.send().await?;
                calls += 1;
                if let Err(problem) = judge(operation, caller, &answer, &estate, &sent) {
                    problems.push(format!("{} as {caller:?}: {problem:#}", operation.route()));
                }
            }
        }
    }
    let after = estate.rows(&stack).await?;

    println!("{} operations, {calls} calls", operations.len());
    assert!(problems.is_empty(), "{} problems\n{}", problems.len(), problems.join("\n"));
    for (row, _) in before.symmetric_difference(&after).zip(0..10) {
        println!("{}: {row}", if before.contains(row) { "was" } else { "is now" });
    }
    assert_eq!(before, after, "something of the owner's is not as it was");
    assert!(before.len() > 20, "the owner has {} rows only", before.len());
    assert!(operations.len() >= ROUTES, "{} operations behind a token", operations.len());
    stack.stop().await
}

/// The operation with each of the owner's things it can name; and all of the request that the answer may repeat.
fn requests(stack: &Stack, operation: &Operation, estate: &Estate) -> Result<Vec<(Request, String)>> {
    let body = operation.body.as_ref().map(|body| estate.in_body(body));
    let paths = estate.paths(operation)?;
    let put_together = |path: String| {
        let mut request = stack.client.request(&operation.method, &path);
        let sent = format!("{path}\n{}", body.clone().unwrap_or_default());
        if let Some(body) = &body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        (request, sent)
    };
    Ok(paths.into_iter().map(put_together).collect())
}

fn judge(operation: &Operation, caller: Caller, answer: &Answer, estate: &Estate, sent: &str) -> Result<()> {
    let told = format!("{:?}\n{answer}", answer.headers);
    let seen: Vec<&str> = estate.seen(&told, sent).collect();
    anyhow::ensure!(seen.is_empty(), "{seen:?} in {answer}");
    if answer.status >= 400 {
        form::error_code(answer).context("not in the one form")?;
    }
    match caller {
        // Where none is needed, a token that is not good may be passed over.
        _ if operation.door == Door::Either => anyhow::ensure!(answer.status < 500, "{answer}"),
        // What is an administrator's alone looks at the scope before it looks at the session.
        _ if !caller.is_somebody() => {
            anyhow::ensure!(
                answer.status == 401 || operation.admin && answer.status == 403,
                "not refused: {answer}"
            );
        }
        _ if is_about_the_owner(operation) => {
            anyhow::ensure!([403, 404].contains(&answer.status), "not refused: {answer}");
        }
        // What concerns whoever calls is theirs to do.
        _ => anyhow::ensure!(answer.status < 500, "{answer}"),
    }
    Ok(())
}

/// Whether a request like this names an account or a thing of one. The kinds of identities are everybody's own.
fn is_about_the_owner(operation: &Operation) -> bool {
    let names_one = operation.parameters().iter().any(|(_, name)| *name != "kind");
    let says_whose = operation.body.as_ref().is_some_and(|body| body.get("userId").is_some());
    operation.admin || names_one || says_whose
}
