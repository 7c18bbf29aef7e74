/** Such as `3 items failed`; undefined where none did, or it is not known. */
export const failedItemsText = (failedItems: number | null): string | undefined =>
  failedItems ? `${failedItems} ${failedItems === 1 ? 'item' : 'items'} failed` : undefined;
