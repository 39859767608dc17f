use super::*;

const PAGE: usize = 4096;
const PAGES: usize = 1024;

fn image() -> Arc<Image> {
    let bytes: Vec<u8> = (0..PAGES * PAGE).map(|at| (at / 7 + at / PAGE) as u8).collect();
    Arc::new(Image::new(&bytes).unwrap())
}

fn memory(memories: &Memories) -> Box<dyn LinearMemory> {
    let ty = MemoryType::new(1, None);
    memories.new_memory(ty, 1 << 16, None, Some(RESERVED), GUARD).unwrap()
}

/// What a guest may read and write.
fn bytes(memory: &mut dyn LinearMemory) -> &mut [u8] {
    // SAFETY: nobody else has the memory.
    unsafe { std::slice::from_raw_parts_mut(memory.as_ptr(), memory.byte_size()) }
}

fn is_the_image(memories: &Memories, memory: &mut dyn LinearMemory) -> bool {
    bytes(memory) == memories.image.bytes()
}

/// A guest's writes, page by page: some, a stretch, more than are kept, all, none.
fn writes() -> Vec<Vec<usize>> {
    vec![
        vec![0],
        (0..PAGES).step_by(17).collect(),
        vec![PAGES - 1],
        (100..300).collect(),
        (0..PAGES).step_by(2).take(KEPT_PAGES).collect(),
        (0..PAGES).step_by(2).take(KEPT_PAGES - 1).chain([PAGES - 1]).collect(),
        (0..PAGES).collect(),
        vec![],
    ]
}

#[test]
fn every_memory_begins_as_the_image() {
    let memories = Memories::new(image());
    for (round, pages) in writes().into_iter().cycle().take(40).enumerate() {
        let mut memory = memory(&memories);
        assert!(is_the_image(&memories, memory.as_mut()), "round {round}");
        for page in pages {
            bytes(memory.as_mut())[page * PAGE + round] ^= 0xff;
        }
    }
    // The control: all of that was one slot, and what it wrote was to be seen.
    assert_eq!(memories.free.0.lock().unwrap().len(), 1);
    let mut memory = memory(&memories);
    bytes(memory.as_mut())[PAGE] ^= 1;
    assert!(!is_the_image(&memories, memory.as_mut()));
}

#[test]
fn what_grows_is_zero_and_is_no_longer_there_afterwards() {
    let memories = Memories::new(image());
    let initial = memories.initial_bytes();
    for more in [1 << 16, 10 << 16, 5 << 20] {
        let mut memory = memory(&memories);
        assert_eq!(memory.byte_size(), initial);
        let base = memory.as_ptr();
        memory.grow_to(initial + more / 2).unwrap();
        memory.grow_to(initial + more).unwrap();
        assert_eq!((memory.as_ptr(), memory.byte_size()), (base, initial + more));
        assert!(bytes(memory.as_mut())[initial..].iter().all(|byte| *byte == 0));
        bytes(memory.as_mut())[initial - 10..].fill(7);
    }
    assert!(memory(&memories).grow_to(RESERVED + GUARD + GUARD).is_err());
}

#[test]
fn what_an_instance_reads_is_shared_and_what_it_writes_is_its_own() {
    let memories = Memories::new(image());
    let (mut one, mut other) = (memory(&memories), memory(&memories));
    bytes(one.as_mut()).fill(1);
    assert!(is_the_image(&memories, other.as_mut()));
    bytes(other.as_mut()).fill(2);
    assert!(bytes(one.as_mut()).iter().all(|byte| *byte == 1));
}

#[test]
fn only_so_many_are_kept() {
    let memories = Memories::new(image());
    let many: Vec<_> = (0..KEPT_SLOTS + 3).map(|_| memory(&memories)).collect();
    drop(many);
    assert_eq!(memories.free.0.lock().unwrap().len(), KEPT_SLOTS);
}

#[test]
fn what_memories_held_is_recorded() {
    let (memories, recorded) = Memories::recording(image());
    let mut memory = memory(&memories);
    let more = memories.initial_bytes() + (1 << 16);
    memory.grow_to(more).unwrap();
    bytes(memory.as_mut())[more - 1] = 9;
    drop(memory);
    let held = recorded.take();
    assert_eq!((held.len(), held[more - 1]), (more, 9));
    assert_eq!(&held[..memories.initial_bytes()], memories.image.bytes());
}

#[test]
fn a_memory_of_another_shape_is_refused() {
    let memories = Memories::new(image());
    let refused = |minimum, maximum, reserved, guard| {
        let ty = MemoryType::new(1, None);
        memories.new_memory(ty, minimum, maximum, reserved, guard).is_err()
    };
    assert!(!refused(1 << 16, None, Some(RESERVED), GUARD));
    assert!(refused(PAGES * PAGE + 1, None, Some(RESERVED), GUARD));
    assert!(refused(1 << 16, Some(1 << 16), Some(RESERVED), GUARD));
    assert!(refused(1 << 16, None, Some(RESERVED / 2), GUARD));
    assert!(refused(1 << 16, None, None, GUARD));
    assert!(refused(1 << 16, None, Some(RESERVED), GUARD / 2));
}

#[test]
fn what_is_no_image() {
    for bytes in [&[][..], &[0; 100], &vec![0; (1 << 16) + 1]] {
        assert!(Image::new(bytes).is_err());
    }
}

#[test]
fn every_stack_begins_with_zeros() {
    use wasmtime::{StackCreator, StackMemory};
    let stacks = Stacks::default();
    let size = 2 << 20;
    let bytes = |stack: &dyn StackMemory| {
        let range = stack.range();
        // SAFETY: nobody else has the stack.
        unsafe { std::slice::from_raw_parts_mut(range.start as *mut u8, range.len()) }
    };
    for depth in [1, 3 * PAGE, 64 * PAGE, 65 * PAGE, size, 1] {
        let stack = stacks.new_stack(size, true).unwrap();
        assert_eq!(stack.top() as usize, stack.range().end);
        assert_eq!(stack.guard_range().end as usize, stack.range().start);
        let all = bytes(stack.as_ref());
        assert_eq!(all.len(), size);
        assert!(all.iter().all(|byte| *byte == 0), "after {depth}");
        all[size - depth..].fill(0xee);
    }
}
