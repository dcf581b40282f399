import {
  ApiOutlined,
  DashboardOutlined,
  DollarOutlined,
  ExperimentOutlined,
  HddOutlined,
  InboxOutlined,
  SettingOutlined,
  UnorderedListOutlined,
} from '@ant-design/icons';
import type { ReactNode } from 'react';

export type View = 'overview' | 'tasks' | 'deadLetters' | 'models' | 'workers' | 'playground' | 'usage' | 'settings';

/** The views, their way, what is asked for to see them, and the key that follows `g`. */
export const VIEWS: { view: View; path: string; icon: ReactNode; needs: string; key: string }[] = [
  { view: 'overview', path: '/', icon: <DashboardOutlined />, needs: 'stats:read', key: 'o' },
  { view: 'tasks', path: '/tasks', icon: <UnorderedListOutlined />, needs: 'tasks:read', key: 't' },
  { view: 'deadLetters', path: '/dead-letters', icon: <InboxOutlined />, needs: 'tasks:read', key: 'd' },
  { view: 'models', path: '/models', icon: <ApiOutlined />, needs: 'models:read', key: 'm' },
  { view: 'workers', path: '/workers', icon: <HddOutlined />, needs: 'workers:read', key: 'w' },
  { view: 'playground', path: '/playground', icon: <ExperimentOutlined />, needs: 'tasks:submit', key: 'p' },
  { view: 'usage', path: '/usage', icon: <DollarOutlined />, needs: 'stats:read', key: 'u' },
  { view: 'settings', path: '/settings', icon: <SettingOutlined />, needs: 'self', key: 's' },
];
