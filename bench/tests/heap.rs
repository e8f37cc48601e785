//! The runs that `l1` measures ask the heap for nothing between datagram and bundle, whichever way they sign.
#![allow(clippy::unwrap_used)]

#[path = "../../tests/src/heap.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod heap;

use std::hint::black_box;

use bench::occasion::{Occasion, Pace};
use bench::ours::Core;
use bench::sign::Sign;
use overmind::clock::Ticker;
use shred_resolve::Policy;

#[global_allocator]
static ALLOCATOR: heap::Counting = heap::Counting;

#[test]
fn no_way_of_signing_asks_for_memory() {
    assert!(heap::is_counting());
    let ticker = Ticker::calibrate();
    for make in [Occasion::create, Occasion::seen] {
        let occasion = make(Pace::Warm, 20_000, ticker).unwrap();
        for policy in [Policy::VerifyThenEmit, Policy::EmitThenVerify] {
            for sign in Sign::ALL {
                let setup = occasion.setup(policy, *sign);
                if !occasion.has(*sign) {
                    continue;
                }
                let mut core = match Core::of(&setup, ticker) {
                    Ok(core) => core,
                    Err(error) => {
                        eprintln!("skipped: {}: {error}", sign.name());
                        continue;
                    }
                };
                let before = heap::calls();
                heap::watch();
                let mut count = 0;
                occasion.run(&mut core, policy, |cell| count += black_box(cell.count()));
                heap::unwatch();
                assert_eq!(heap::calls(), before, "{} {policy:?}", sign.name());
                sign.check(&core.signatures()).unwrap();
                assert!(count > 5, "{count} bundles");
            }
        }
    }
}
