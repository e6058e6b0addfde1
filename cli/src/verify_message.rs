use std::io::{Read, stdin};

use anyhow::{Context, Result, bail};
use shared::lightning::{MessageSignature, Pubkey};

/// Print the public key of the node that signed a message
///
/// Any other message gives another key, and no error: compare the key printed with the node's, or let `--pubkey`
/// do it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What was signed, to the letter; `-` reads it from standard input, a line end at its end included
    #[arg(long, allow_hyphen_values = true)]
    message: String,
    /// What `lncli signmessage` printed: 104 characters
    #[arg(long, allow_hyphen_values = true)]
    signature: String,
    /// The key that should have signed: exit 1 if it was another
    #[arg(long)]
    pubkey: Option<String>,
}

pub fn run(args: &Args) -> Result<String> {
    let expected = args.pubkey.as_deref().map(str::parse::<Pubkey>).transpose().context("--pubkey")?;
    let signature: MessageSignature = args.signature.parse()?;
    let signed_by = signature.recover(&message(&args.message)?)?;
    match expected {
        None => Ok(signed_by.to_string()),
        Some(expected) if expected == signed_by => Ok(format!("{signed_by}\nmatch")),
        Some(_) => bail!("mismatch: if this is the message, {signed_by} signed it"),
    }
}

fn message(argument: &str) -> Result<Vec<u8>> {
    if argument != "-" {
        return Ok(argument.as_bytes().to_vec());
    }
    let mut read = Vec::new();
    stdin().read_to_end(&mut read).context("standard input")?;
    Ok(read)
}
