import { giveRoomBack, keepRoom, passRoom, roomToParse } from '@commons/backend/lib/process/body-room.js';

const LARGE = 1_000_000;

/** Whether another large body may be parsed at once; its room is given back. */
async function isFree(): Promise<boolean> {
  const entered = roomToParse(LARGE).then((give) => give());
  return Promise.race([entered.then(() => true), new Promise<boolean>((resolve) => setTimeout(resolve, 50, false))]);
}

describe('the room of a large body', () => {
  it('is one at a time, and free again once the run of that body, or of a copy in its place, has started', async () => {
    const body = { text: 'x' };
    keepRoom(body, await roomToParse(LARGE));
    expect(await isFree()).toBe(false);
    const copy = { ...body, isDryRun: true };
    passRoom(body, copy);
    giveRoomBack(copy);
    expect(await isFree()).toBe(true);
  });

  it('is free at once where the body is a bare text, which no run can be known by', async () => {
    keepRoom('x'.repeat(LARGE), await roomToParse(LARGE));
    expect(await isFree()).toBe(true);
  });

  it('is not kept for a caller that hung up while it waited, nor does such a one hold up those behind it', async () => {
    const give = await roomToParse(LARGE);
    const caller = new AbortController();
    const gone = roomToParse(LARGE, caller.signal);
    const behind = roomToParse(LARGE);
    caller.abort(new Error('hung up'));
    await expect(gone).rejects.toThrow('hung up');
    give();
    (await behind)();
    expect(await isFree()).toBe(true);
    await expect(roomToParse(LARGE, caller.signal)).rejects.toThrow('hung up');
  });

  it('is given back once, however often that is said', async () => {
    const give = await roomToParse(LARGE);
    give();
    give();
    const body = {};
    keepRoom(body, await roomToParse(LARGE));
    expect(await isFree()).toBe(false);
    giveRoomBack(body);
    giveRoomBack(body);
    expect(await isFree()).toBe(true);
  });
});
