/** Filters that somebody gave a name, in this browser. */
export type SavedView = { name: string; query: string };

const KEY = 'llms.views';

export function savedViews(): SavedView[] {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '[]') as SavedView[];
  } catch {
    return [];
  }
}

export function saveView(view: SavedView): SavedView[] {
  const views = [...savedViews().filter(({ name }) => name !== view.name), view];
  localStorage.setItem(KEY, JSON.stringify(views));
  return views;
}

export function removeView(name: string): SavedView[] {
  const views = savedViews().filter((one) => one.name !== name);
  localStorage.setItem(KEY, JSON.stringify(views));
  return views;
}
