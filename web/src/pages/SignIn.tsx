import { useMutation, useQuery } from '@tanstack/react-query';
import { Alert, App, Button, Card, Divider, Form, Input, Space, Tabs } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Navigate, useSearchParams } from 'react-router';
import { body } from '../api/client';
import { getAuthProviders, getMe } from '../api/gen';
import { problemOf, type ApiProblem } from '../api/problem';
import { authCall, forget, take, takeKey, useSession, type TokenAnswer } from '../api/session';
import { basename } from '../app/base';
import { Door } from '../app/Door';

type Fields = { username: string; password: string; totp?: string };

/** Only ways inside are followed after the sign-in. */
export function safeWay(to: string | null): string {
  return to?.startsWith('/') && !to.startsWith('//') && !to.startsWith('/\\') ? to : '/';
}

/** Codes of answers to a sign-in that the page says in the reader's language. */
const SAID = ['wrong_credentials', 'wrong_totp', 'sign_in_busy', 'no_tenant', 'address_not_allowed', 'csrf_failed', 'unreachable'] as const;

/** Codes with which a sign-in at the provider leads back here. Anything else in the address is not shown as it is. */
const ELSEWHERE = ['oidc_refused', 'oidc_unavailable', 'no_tenant', 'address_not_allowed'] as const;

function useSaid() {
  const { t } = useTranslation('access');
  return (problem: ApiProblem) => {
    const known = SAID.find((code) => code === problem.code);
    return known ? t(`said.${known}`) : (Object.values(problem.byField)[0] ?? problem.message);
  };
}

/** Seconds that are left of a wait, counted down. */
function useWait(problem: ApiProblem | undefined): number {
  const [left, setLeft] = useState(0);
  useEffect(() => {
    if (problem?.status !== 429) return setLeft(0);
    const until = Date.now() + (problem.retryAfterS ?? 1) * 1000;
    const look = () => setLeft(Math.max(0, Math.ceil((until - Date.now()) / 1000)));
    look();
    const timer = setInterval(look, 500);
    return () => clearInterval(timer);
  }, [problem]);
  return left;
}

function ByPassword() {
  const { t } = useTranslation('access');
  const said = useSaid();
  const [needsCode, setNeedsCode] = useState(false);
  const signIn = useMutation({
    mutationFn: (fields: Fields) => authCall<TokenAnswer>('login', fields),
    onSuccess: take,
    onError: (error) => problemOf(error).code === 'totp_required' && setNeedsCode(true),
  });
  // A problem is an object of its own: what it counts begins anew with the next one only.
  const problem = signIn.error instanceof Error ? problemOf(signIn.error) : undefined;
  const waitS = useWait(problem);
  const isShown = problem && !(problem.code === 'totp_required' && !signIn.variables?.totp);
  return (
    <Form layout="vertical" requiredMark={false} onFinish={(fields: Fields) => signIn.mutate(fields)}>
      {isShown && <Alert role="alert" type="error" showIcon style={{ marginBottom: 16 }} title={problem.status !== 429 ? said(problem) : waitS > 0 ? t('wait', { seconds: waitS }) : t('waitOver')} />}
      <Form.Item name="username" label={t('username')} rules={[{ required: true, message: t('required') }]}>
        <Input autoFocus autoComplete="username" autoCapitalize="none" spellCheck={false} />
      </Form.Item>
      <Form.Item name="password" label={t('password')} rules={[{ required: true, message: t('required') }]}>
        <Input.Password autoComplete="current-password" />
      </Form.Item>
      {needsCode && (
        <Form.Item name="totp" label={t('code')} extra={t('codeHint')} rules={[{ required: true, message: t('required') }]}>
          <Input autoFocus autoComplete="one-time-code" inputMode="numeric" />
        </Form.Item>
      )}
      <Button block type="primary" htmlType="submit" loading={signIn.isPending} disabled={waitS > 0}>{t('signIn')}</Button>
    </Form>
  );
}

function ByKey({ onDone }: { onDone: () => void }) {
  const { t } = useTranslation('access');
  const said = useSaid();
  const signIn = useMutation({
    mutationFn: async ({ key }: { key: string }) => {
      takeKey(key.trim());
      try {
        await body(getMe({ throwOnError: true }));
      } catch (error) {
        forget();
        throw error;
      }
    },
    onSuccess: onDone,
  });
  return (
    <Form layout="vertical" requiredMark={false} onFinish={(fields: { key: string }) => signIn.mutate(fields)}>
      {signIn.error && <Alert role="alert" type="error" showIcon style={{ marginBottom: 16 }} title={problemOf(signIn.error).code === 'unauthorized' ? t('said.wrong_key') : said(problemOf(signIn.error))} />}
      <Form.Item name="key" label={t('key')} extra={t('keyHint')} rules={[{ required: true, message: t('required') }]}>
        <Input.Password autoComplete="off" spellCheck={false} />
      </Form.Item>
      <Button block type="primary" htmlType="submit" loading={signIn.isPending}>{t('keyUse')}</Button>
    </Form>
  );
}

export function Component() {
  const { t } = useTranslation('access');
  const session = useSession();
  const [params] = useSearchParams();
  const providers = useQuery({
    queryKey: ['providers'],
    queryFn: () => body(getAuthProviders({ throwOnError: true })),
  });
  // While a key is tried it is no session yet: the form checks it first.
  const [isProven, setProven] = useState(() => session.kind !== 'none');
  if (session.kind === 'token' || (session.kind === 'key' && isProven)) return <Navigate to={safeWay(params.get('to'))} replace />;
  const oidc = providers.data?.oidc;
  const failed = params.get('error');
  return (
    <Door>
      <App>
        <Card style={{ width: '100%', maxWidth: 400 }}>
          {providers.data?.needs_setup && <Alert type="info" showIcon style={{ marginBottom: 16 }} title={t('needsSetup')} description={t('needsSetupHint')} />}
          {failed && <Alert type="error" showIcon role="alert" style={{ marginBottom: 16 }} title={t(`elsewhere.${ELSEWHERE.find((code) => code === failed) ?? 'failed'}`)} />}
          <Tabs
            centered
            items={[
              { key: 'password', label: t('byPassword'), children: <ByPassword /> },
              { key: 'key', label: t('byKey'), children: <ByKey onDone={() => setProven(true)} /> },
            ]}
          />
          {oidc && (
            <Space orientation="vertical" style={{ width: '100%' }}>
              <Divider plain style={{ margin: '12px 0' }} />
              <Button block href={`${basename}${oidc.start}?target=${encodeURIComponent(safeWay(params.get('to')))}`}>{t('sso')}</Button>
            </Space>
          )}
        </Card>
      </App>
    </Door>
  );
}
