//! The wish of whoever runs the process that it ends.

/// Waits until the process is told to end: by SIGTERM, as service managers and containers do, or by Ctrl-C (feature `signal`).
///
/// It needs a tokio runtime with its drivers: that of `#[tokio::main]` or `#[actix::main]`, or
/// [`GenApi::block_on`](crate::GenApi::block_on). From the first poll on these signals end the process no longer by
/// themselves. Where the operating system does not let it listen, it logs so and waits for ever; then they do.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let api = gen_api::GenApi::builder().start().await?;
/// gen_api::shutdown_signal().await;
/// api.stop().await;
/// # Ok(())
/// # }
/// ```
pub async fn shutdown_signal() {
    if let Err(error) = told_to_end().await {
        let error = crate::log_text::printed(&error);
        tracing::error!(
            error,
            "the signals that tell the process to end cannot be heard"
        );
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn told_to_end() -> std::io::Result<()> {
    use futures_util::future::select;
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (terminate, interrupt) = (terminate.recv(), interrupt.recv());
    select(std::pin::pin!(terminate), std::pin::pin!(interrupt)).await;
    Ok(())
}

#[cfg(not(unix))]
async fn told_to_end() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
