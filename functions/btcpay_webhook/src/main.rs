use shared::runtime::{self, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::serve("btcpay_webhook", btcpay_webhook::Deps::wire, btcpay_webhook::handle).await
}
