import i18n from 'i18next';
import { initReactI18next } from 'react-i18next';
import common from './en/common.json';
import type { Room } from './rooms';

export type Language = 'en' | 'zh';
export const LANGUAGES: { value: Language; label: string }[] = [
  { value: 'en', label: 'English' },
  { value: 'zh', label: '简体中文' },
];
const KEY = 'llms.language';

// The common words in English are in the first chunk; a page's words come with the page, in the language in force.
const files = import.meta.glob<{ default: object }>(['./*/*.json', '!./en/common.json']);
const entered = new Set<Room>(['common']);

async function load(language: string, room: Room) {
  if (i18n.hasResourceBundle(language, room)) return;
  const words = await files[`./${language}/${room}.json`]?.();
  if (words) i18n.addResourceBundle(language, room, words.default);
}

/** Have a room's words at hand, now and in languages chosen later. */
export async function enter(...rooms: Room[]) {
  rooms.forEach((room) => entered.add(room));
  await Promise.all(rooms.map((room) => load(i18n.language, room)));
}

export async function setLanguage(language: Language) {
  await Promise.all([...entered].map((room) => load(language, room)));
  await i18n.changeLanguage(language);
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  localStorage.setItem(KEY, language);
}

/** As chosen before, else as the browser asks for. */
export async function initLanguage() {
  await i18n.use(initReactI18next).init({
    resources: { en: { common } },
    lng: 'en',
    fallbackLng: 'en',
    defaultNS: 'common',
    interpolation: { escapeValue: false },
  });
  const chosen = localStorage.getItem(KEY) ?? (navigator.language.startsWith('zh') ? 'zh' : 'en');
  await setLanguage(chosen === 'zh' ? 'zh' : 'en');
}
