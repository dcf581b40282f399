import { App } from 'antd';
import type { ReactNode } from 'react';

/** What `App.useApp()` gives to pages: messages, questions. In a chunk of its own, for the first paint needs none. */
export default function Feedback({ children }: { children: ReactNode }) {
  return <App>{children}</App>;
}
