//! `memory.copy` and `memory.fill` in pieces.
//!
//! One instruction may have hundreds of MiB to move, and nothing stops a guest in the midst
//! of it. Between pieces fuel is counted, and others have their turn.

use wasm_encoder::{Function, Instruction as I};

/// The indices of the functions that stand for the instructions.
#[derive(Clone, Copy, Default)]
pub struct Bulk {
    pub copy: u32,
    pub fill: u32,
}

/// What the functions are called, in the order of [`functions`].
pub const NAMES: [&str; 2] = ["copy in pieces", "fill in pieces"];

/// The most bytes that one instruction copies or fills.
const PIECE: i32 = 1 << 20;

/// The two functions. Both take (destination, source or byte, length).
///
/// An instruction that reaches out of bounds does nothing but trap; in pieces, what lies
/// before the bound is written first. Nobody sees it: the instance is gone.
pub fn functions() -> [Function; 2] {
    let copy = |to: &mut Vec<I<'static>>, length: I<'static>, offset: Option<u32>| {
        for operand in [0, 1] {
            to.push(I::LocalGet(operand));
            if let Some(offset) = offset {
                to.extend([I::LocalGet(offset), I::I32Add]);
            }
        }
        to.extend([length, I::MemoryCopy { src_mem: 0, dst_mem: 0 }]);
    };
    let is_more = [I::LocalGet(2), I::I32Const(PIECE), I::I32GtU];
    let less = [I::LocalGet(2), I::I32Const(PIECE), I::I32Sub, I::LocalSet(2)];
    let advance =
        |operand| [I::LocalGet(operand), I::I32Const(PIECE), I::I32Add, I::LocalSet(operand)];
    let empty = wasm_encoder::BlockType::Empty;

    let mut copying = vec![];
    copying.extend(is_more.clone());
    copying.push(I::If(empty));
    // Where they overlap, the end that is about to be overwritten goes first.
    copying.extend([I::LocalGet(0), I::LocalGet(1), I::I32LeU, I::If(empty), I::Loop(empty)]);
    copy(&mut copying, I::I32Const(PIECE), None);
    copying.extend(advance(0));
    copying.extend(advance(1));
    copying.extend(less.clone());
    copying.extend(is_more.clone());
    copying.extend([I::BrIf(0), I::End, I::Else, I::Loop(empty)]);
    copying.extend(less.clone());
    copy(&mut copying, I::I32Const(PIECE), Some(2));
    copying.extend(is_more.clone());
    copying.extend([I::BrIf(0), I::End, I::End, I::End]);
    copy(&mut copying, I::LocalGet(2), None);
    copying.push(I::End);

    let fill = |length| [I::LocalGet(0), I::LocalGet(1), length, I::MemoryFill(0)];
    let mut filling = vec![];
    filling.extend(is_more.clone());
    filling.extend([I::If(empty), I::Loop(empty)]);
    filling.extend(fill(I::I32Const(PIECE)));
    filling.extend(advance(0));
    filling.extend(less);
    filling.extend(is_more);
    filling.extend([I::BrIf(0), I::End, I::End]);
    filling.extend(fill(I::LocalGet(2)));
    filling.push(I::End);

    [copying, filling].map(|instructions| {
        let mut function = Function::new([]);
        for instruction in &instructions {
            function.instruction(instruction);
        }
        function
    })
}
